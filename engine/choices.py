"""What can be chosen on this machine, and of the rest why not.

For whoever offers settings to a person: models, modes, runtimes and precisions in the order in which they
are worth showing. No model is opened; their files are read once each, which takes a moment for large ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from engine.cuda.driver import driver_state
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec, read_spec
from engine.runtime import (
    RUNTIMES,
    Arithmetic,
    RuntimeKind,
    auto_runtimes,
    check_arithmetic,
    installed_runtimes,
)
from engine.settings import EstimatorSettings, Mode, Precision, RuntimeName
from engine.skeleton import SKELETONS, Skeleton
from engine.zoo import ALIASES, downloaded_names, model_names, model_path, variants
from engine.zoo_catalogue import CATALOGUE, PublishedModel

Kind = Literal["top-down", "bottom-up"]

LABELS = {
    "auto": "Automatic", "top-down": "Top-down", "bottom-up": "Bottom-up",
    "fp32": "FP32", "fp16": "FP16", "bf16": "BF16", "int8": "INT8",
    **{name: kind.label for name, kind in RUNTIMES.items()},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a setting may take.

    value: for the setting. label: for people. available: whether it works here and now. reason: why not, in
    a few words; empty where it is available.
    """

    value: str
    label: str
    available: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What each setting of the estimator may be; the setting's present value is always among them."""

    modes: tuple[Choice, ...]
    top_down_models: tuple[Choice, ...]
    bottom_up_models: tuple[Choice, ...]
    runtimes: tuple[Choice, ...]
    precisions: tuple[Choice, ...]


def list_choices(settings: EstimatorSettings, *, skeleton: Skeleton | None = None) -> Choices:
    """Return what can be chosen beside `settings`.

    Args:
        settings: in use; what can be had of one depends on the others.
        skeleton: where given, what yields other keypoints is not available: they would not fit what is being
            written.
    """
    whole_frame = settings.mode == "bottom-up"
    top_down = _list_models("top-down", settings.top_down_model, None if whole_frame else skeleton)
    bottom_up = _list_models("bottom-up", settings.bottom_up_model, skeleton if whole_frame else None)
    return Choices(
        modes=tuple(_mode_choice(mode, settings, skeleton) for mode in get_args(Mode)),
        top_down_models=top_down,
        bottom_up_models=bottom_up,
        runtimes=tuple(_runtime_choice(name, settings.precision) for name in get_args(RuntimeName)),
        precisions=tuple(_precision_choice(precision, settings) for precision in get_args(Precision)),
    )


def _choice(value: str, reason: str = "", label: str | None = None) -> Choice:
    return Choice(value, LABELS.get(value, value) if label is None else label, not reason, reason)


def _list_models(kind: Kind, named: str, skeleton: Skeleton | None) -> tuple[Choice, ...]:
    """Models of a kind: those at hand, the one named in the settings, then those published."""
    at_hand = [*model_names(), *downloaded_names()]
    choices = []
    for name in at_hand:
        aliases = [alias for alias, target in ALIASES.items() if target == name]
        values = [*aliases, name]
        spec, reason = _read(name)
        if named not in values and spec is not None and spec.kind != kind:
            continue
        label = f"{name} (default)" if aliases else name
        value = named if named in values else values[0]
        choices.append(_choice(value, reason or _misfit(spec, kind, skeleton), label))
    if named not in [choice.value for choice in choices] and named not in CATALOGUE:
        spec, reason = _read(named)
        choices.append(_choice(named, reason or _misfit(spec, kind, skeleton), _short_name(named)))
    published = (model for model in CATALOGUE.values() if model.name not in at_hand)
    for model in published:
        if model.kind == kind or model.name == named:
            choices.append(_choice(model.name, _why_not_at_hand(model, kind, skeleton)))
    return tuple(choices)


def _read(name: str) -> tuple[ModelSpec | None, str]:
    """Return the spec of a model, or why it cannot be read."""
    try:
        return _spec(model_path(name)), ""
    except (ModelFileError, OSError) as error:
        return None, str(error)


def _spec(path: Path) -> ModelSpec:
    if not path.is_file():
        return read_spec(path)  # which tells what is missing
    about = path.stat()
    return _spec_of_file(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=256)
def _spec_of_file(path: Path, changed_ns: int, size: int) -> ModelSpec:
    """Read a file whose time and size were not met before: a published network has up to 250 MB."""
    return read_spec(path)


def _short_name(name: str) -> str:
    """Return the last part of a path."""
    return name.replace("\\", "/").rsplit("/", 1)[-1] or name


def _misfit(spec: ModelSpec | None, kind: Kind, skeleton: Skeleton | None) -> str:
    """Say why a model does not fit; nothing where it does, or nothing is known of it."""
    if spec is None:
        return ""
    if spec.kind != kind:
        return f"a {spec.kind} model, {kind} is needed here"
    return _other_keypoints(spec.skeleton, skeleton)


def _other_keypoints(skeleton: Skeleton, wanted: Skeleton | None) -> str:
    if wanted is None or skeleton.keypoints == wanted.keypoints:
        return ""
    return f"has the {skeleton.count} keypoints of {skeleton.name}, not the {wanted.count} of {wanted.name}"


def _why_not_at_hand(model: PublishedModel, kind: Kind, skeleton: Skeleton | None) -> str:
    if model.kind != kind:
        return f"a {model.kind} model, {kind} is needed here"
    if model.state == "by hand":
        return "not at hand; it is converted from a file of one's own"
    return _other_keypoints(SKELETONS[model.skeleton], skeleton) or "not downloaded"


def _used_models(mode: str, settings: EstimatorSettings) -> Sequence[tuple[str, Kind]]:
    """Names and kinds of the models that a mode opens, the one whose keypoints come out first."""
    if mode == "bottom-up":
        return [(settings.bottom_up_model, "bottom-up")]
    return [(settings.top_down_model, "top-down"), (settings.bottom_up_model, "bottom-up")]


def _mode_choice(mode: Mode, settings: EstimatorSettings, skeleton: Skeleton | None) -> Choice:
    for place, (name, kind) in enumerate(_used_models(mode, settings)):
        spec, reason = _read(name)
        reason = reason or _misfit(spec, kind, skeleton if place == 0 else None)
        if reason:
            return _choice(mode, f"{_short_name(name)}: {reason}")
    return _choice(mode)


def _runtime_choice(name: RuntimeName, precision: Precision) -> Choice:
    installed = installed_runtimes()
    if name == "auto":
        return _choice(name, "" if installed else "no runtime is installed; `pip install openvino`")
    kind = RUNTIMES[name]
    if name not in installed:
        return _choice(name, f"not installed; `{kind.install}`")
    return _choice(name, _refusal(kind.usual if precision == "auto" else precision, name))


def _precision_choice(precision: Precision, settings: EstimatorSettings) -> Choice:
    if precision == "auto":
        return _choice(precision)
    names = auto_runtimes() if settings.runtime == "auto" else (settings.runtime,)
    reasons = [_why_not(name, precision, settings) for name in names]
    return _choice(precision, "" if "" in reasons else reasons[0])


def _why_not(runtime: str, precision: Arithmetic, settings: EstimatorSettings) -> str:
    """Say why the models in use cannot run so; nothing where they can."""
    models = [name for name, _ in _used_models(settings.mode, settings)]
    forms = (_no_such_form(name, precision, RUNTIMES[runtime]) for name in models)
    return next((reason for reason in forms if reason), "") or _refusal(precision, runtime)


def _no_such_form(name: str, precision: Arithmetic, kind: RuntimeKind) -> str:
    """Say why a model has no form for a precision; nothing where it has, or cannot be read at all."""
    spec, _ = _read(name)
    if spec is None:
        return ""
    if spec.precision == "int8":
        return "" if precision == "int8" and not kind.from_float else f"{spec.name} is an INT8 file"
    if precision != "int8" or kind.from_float:
        return ""
    quantised = variants(model_path(name)).get("int8")
    if quantised is None:
        return f"{spec.name} has no INT8 file"
    int8_spec, reason = _read(str(quantised))
    if int8_spec is not None and int8_spec.checkpoint_sha256 != spec.checkpoint_sha256:
        return f"the INT8 file of {spec.name} was made from another checkpoint"
    return reason


def _refusal(arithmetic: Arithmetic, runtime: str) -> str:
    """Say why a runtime does not compute so on this machine; nothing where it does."""
    # Asked first, since loading TensorRT takes as long as all the rest.
    if RUNTIMES[runtime].on_nvidia and (problem := driver_state().problem):
        return problem
    try:
        check_arithmetic(runtime, arithmetic)
    except RuntimeUnavailableError as error:
        return str(error)
    return ""
