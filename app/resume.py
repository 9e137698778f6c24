"""What an output folder holds already, and whether it is what this run would make.

Results are known again by three things that stand in their sidecar: a fingerprint of the input's content, one
of all that was asked for (settings, model files, options, program version), and the sizes of their files.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from app.extra_files import find_extras
from app.outputs import OutputPaths, find_existing
from engine import __version__
from engine.errors import SourceError
from engine.model_file import file_sha256
from engine.settings import EstimatorSettings, TrackSettings
from engine.sinks.sidecar import Sidecar
from engine.sources.images import list_images
from engine.zoo import model_path, variants

State = Literal["absent", "done", "begun", "other", "foreign"]
Changed = Literal["version", "settings", "models", "options", "content"]

WHOLE_BYTES, PIECE_BYTES, IMAGE_BYTES = 8 << 20, 1 << 20, 64 << 10
"""Files up to the first are read whole; of larger ones a piece at head, middle and tail. Of the images of a
folder, which are many, smaller pieces are read."""
SIDECAR_FORMAT = "steadypose-track"
MAX_DIFFERENCES = 3
CHANGES: Mapping[Changed, str] = {
    "version": "made by another version of SteadyPose",
    "settings": "made with other settings",
    "models": "made with other models",
    "options": "made with other options, such as --format or --raw",
    "content": "made from other content",
}
MODEL_SETTINGS = frozenset(("estimator.top_down_model", "estimator.bottom_up_model"))


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of the results of one input.

    state: `absent`; `done`: complete, of this input and this request; `begun`: of this request, but not
    complete; `other`: results of SteadyPose, of another input or request; `foreign`: files that are none.
    why: what is other, in words; of what is foreign the first file. changed: what is other, by its kind.
    choice: what was chosen then, where the request was the same. sidecar: of what is done.
    """

    state: State
    why: str = ""
    changed: Changed | None = None
    choice: Mapping[str, Any] | None = None
    sidecar: Sidecar | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: its `digest` and, to say in words what differs, the settings themselves."""

    digest: str
    settings: Mapping[str, Any]
    models: Mapping[str, str]
    options: Mapping[str, Any]


def fingerprint_input(path: Path) -> str:
    """Return a digest of the content of a file, or of the images of a folder with their names.

    Large files are sampled, so a change that keeps the size and lies between the pieces is not seen.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        if not path.is_dir():
            return _digest_file(path, WHOLE_BYTES, PIECE_BYTES)
        digest = hashlib.sha256()
        for image in list_images(path):
            part = _digest_file(image, 3 * IMAGE_BYTES, IMAGE_BYTES)
            digest.update(f"{image.name}\0{part}\n".encode("utf-8", "surrogateescape"))
        return f"images:{digest.hexdigest()}"
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def make_request(settings: TrackSettings, options: Mapping[str, Any]) -> Request:
    """Return what is asked for, models by their content.

    Args:
        settings: of the run.
        options: what else changes the results, ready for JSON.

    Raises:
        ModelFileError: no model is called so.
    """
    values = settings.model_dump(mode="json")
    models = _model_hashes(settings.estimator)
    told = {"version": __version__, "settings": values, "models": models, "options": dict(options)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return Request(digest, values, models, dict(options))


def look_for_results(paths: OutputPaths, source: Path, request: Request) -> Found:
    """Return what is there of the results of one input.

    Raises:
        SourceError: the input cannot be read.
    """
    formats, plots = request.options.get("formats", ()), bool(request.options.get("plots"))
    existing = find_existing(paths) + find_extras(paths.csv, formats, plots=plots)
    if not existing:
        return Found("absent")
    sidecar = read_sidecar(paths.sidecar)
    if sidecar is None:
        return Found("foreign", str(existing[0]))
    run = _part(sidecar, "run")
    if run.get("request") != request.digest:
        return _other(sidecar, request)
    if run.get("input") != fingerprint_input(source):
        return Found("other", f"made from another {source.name}", "content")
    choice = {name: value for name, value in _part(sidecar, "choice").items() if name != "moved_to_cpu"}
    if sidecar.get("status") != "complete":
        return Found("begun", "is not finished", choice=choice)
    if not _files_are_there(paths, _part(run, "files")):
        return Found("begun", "was changed or taken away afterwards", choice=choice)
    try:
        return Found("done", choice=choice, sidecar=Sidecar.model_validate(sidecar))
    except ValidationError:
        return Found("begun", "has a damaged sidecar", choice=choice)


def tell_changes(found: Sequence[Found]) -> str:
    """Return what has changed since these results were made, with how many of each kind, in one line."""
    parts = []
    for changed, text in CHANGES.items():
        reasons = [one.why for one in found if one.changed == changed]
        if reasons:
            parts.append(f"{len(reasons)} {reasons[0] if len(set(reasons)) == 1 else text}")
    return ", ".join(parts)


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return a sidecar as it stands, of whatever version of the program; None where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == SIDECAR_FORMAT else None


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a sidecar, empty where it is not what it should be."""
    part = told.get(name)
    return part if isinstance(part, Mapping) else {}


def _digest_file(path: Path, whole: int, piece: int) -> str:
    size = path.stat().st_size
    if size <= whole:
        return f"sha256:{file_sha256(path)}"
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for start in (0, (size - piece) // 2, size - piece):
            stream.seek(start)
            digest.update(stream.read(piece))
    return f"sampled:{digest.hexdigest()}"


def _model_hashes(settings: EstimatorSettings) -> dict[str, str]:
    """Return name and form of every model file that may be used, to the hash of its content."""
    names = [settings.bottom_up_model] + ([] if settings.mode == "bottom-up" else [settings.top_down_model])
    return {
        f"{name} {form}": file_sha256(path)
        for name in names
        for form, path in sorted(variants(model_path(name)).items())
    }


def _files_are_there(paths: OutputPaths, sizes: Mapping[str, int]) -> bool:
    """Whether all files are there in the size they had when they were finished."""
    wanted = {path.name for path in paths.all if path != paths.sidecar}
    return wanted <= set(sizes) and all(
        _size_of(paths.sidecar.with_name(name)) == size for name, size in sizes.items()
    )


def _size_of(path: Path) -> int | None:
    try:
        if path.is_dir():
            return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
        return path.stat().st_size
    except OSError:
        return None


def _other(sidecar: Mapping[str, Any], request: Request) -> Found:
    """Return what is other in results of another request."""
    version = sidecar.get("software_version")
    if version != __version__:
        return Found("other", f"made by SteadyPose {version}, and this is {__version__}", "version")
    before, now = dict(_flat(_part(sidecar, "settings"))), dict(_flat(request.settings))
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if names:
        changed: Changed = "models" if MODEL_SETTINGS.issuperset(names) else "settings"
        changes = [f"{name} {before.get(name)}, not {now.get(name)}" for name in names[:MAX_DIFFERENCES]]
        more = [f"{len(names) - MAX_DIFFERENCES} more"] if len(names) > MAX_DIFFERENCES else []
        return Found("other", f"{CHANGES[changed]} ({'; '.join(changes + more)})", changed)
    # A sidecar knows the hashes of the files that were used, of which each must be one that may be used now.
    models = sidecar.get("models")
    used = [model for model in models if isinstance(model, Mapping)] if isinstance(models, list) else []
    files = [str(model.get("file")) for model in used if model.get("sha256") not in request.models.values()]
    if files:
        return Found("other", f"{CHANGES['models']} ({', '.join(files)} had other content)", "models")
    return Found("other", CHANGES["options"], "options")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
