"""The zoo: which models can be called by name.

Bundled models are the ONNX files in `assets/models`, downloaded ones those in the user's data folder
(`zoo_store`); a file ``NAME.int8.onnx`` beside ``NAME.onnx`` is the same network quantised. Everything told
about a model is read from its file; what could be downloaded besides is in `zoo_catalogue`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Literal

import onnx

from assets import models_dir
from engine.errors import ModelFileError, SinkError, UsageError
from engine.model_file import ModelSpec, read_spec
from engine.zoo_catalogue import CATALOGUE
from engine.zoo_store import checkpoints_dir, downloaded_dir

LOGGER = logging.getLogger(__name__)

INT8_SUFFIX = ".int8.onnx"

State = Literal["bundled", "downloaded"]

ALIASES: Mapping[str, str] = {
    "default-top-down": "steadypose-td-w16",
    "default-bottom-up": "steadypose-bu-w16",
}
"""Alias to the name of the present best."""


@dataclass(frozen=True, slots=True, eq=False)
class ZooEntry:
    """One named model.

    files: "fp32" and "int8", where present, to the ONNX file; parameters: count of trained numbers; state:
    whether it came with the program or was downloaded.
    """

    name: str
    aliases: tuple[str, ...]
    spec: ModelSpec
    files: Mapping[str, Path]
    parameters: int
    state: State = "bundled"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Forms in which the model is at hand."""
        return tuple(self.files)

    @property
    def file_bytes(self) -> dict[str, int]:
        """Form to size of its file in bytes."""
        return {precision: path.stat().st_size for precision, path in self.files.items()}

    def describe(self) -> dict[str, object]:
        """Return what is worth showing or writing as JSON."""
        spec = self.spec
        return {
            "name": self.name,
            "state": self.state,
            "aliases": list(self.aliases),
            "kind": spec.kind,
            "architecture": spec.architecture,
            "input_size": list(spec.input_size),
            "dynamic_size": spec.dynamic_size,
            "skeleton": spec.skeleton.name,
            "keypoints": spec.skeleton.count,
            "parameters": self.parameters,
            "precisions": list(self.precisions),
            "file_bytes": self.file_bytes,
            "accuracy": dict(spec.accuracy),
            "licence": spec.licence,
            "training_data": spec.training_data,
        }


def variants(path: Path) -> dict[str, Path]:
    """Return the forms of a model that lie beside each other.

    Args:
        path: the float or the INT8 file.

    Returns:
        "fp32" and "int8", where the file exists, to its path.
    """
    base = path.name.removesuffix(INT8_SUFFIX) if path.name.endswith(INT8_SUFFIX) else path.stem
    forms = {"fp32": path.with_name(f"{base}.onnx"), "int8": path.with_name(base + INT8_SUFFIX)}
    return {precision: file for precision, file in forms.items() if file.is_file()}


def model_names(folder: Path | None = None) -> list[str]:
    """Return the names of the models in `folder` (the bundled ones by default), sorted."""
    files = (folder or models_dir()).glob("*.onnx")
    names = {path.name.removesuffix(INT8_SUFFIX).removesuffix(".onnx") for path in files}
    return sorted(name for name in names if not name.startswith("."))


def downloaded_names() -> list[str]:
    """Return the names of the downloaded models, sorted; a bundled model of the same name hides one."""
    return sorted(set(model_names(downloaded_dir())) - set(model_names()))


def find_model(name: str, folder: Path | None = None) -> ZooEntry:
    """Return what is known of a named model.

    Args:
        name: a model's name or an alias.
        folder: where models lie; by default the bundled and then the downloaded ones.

    Raises:
        ModelFileError: no model is called so, or its file is damaged.
    """
    files = _files(name, folder)
    real_name = ALIASES.get(name, name)
    main = files.get("fp32") or files["int8"]
    return ZooEntry(
        name=real_name,
        aliases=tuple(alias for alias, target in ALIASES.items() if target == real_name),
        spec=read_spec(main),
        files=files,
        parameters=_count_parameters(main),
        state="downloaded" if main.parent == downloaded_dir() else "bundled",
    )


def list_models(folder: Path | None = None) -> list[ZooEntry]:
    """Return all named models: bundled before downloaded, then by kind, then by name.

    A downloaded file that cannot be read is left out with a warning in the log.

    Args:
        folder: where models lie; by default the bundled and the downloaded ones.

    Raises:
        ModelFileError: a bundled file, or one in `folder`, is damaged.
    """
    entries = [find_model(name, folder) for name in model_names(folder)]
    for name in [] if folder else downloaded_names():
        try:
            entries.append(find_model(name))
        except (ModelFileError, OSError) as error:
            LOGGER.warning("%s; `steadypose models remove %s` takes the damaged file away", error, name)
    return sorted(
        entries, key=lambda entry: (entry.state != "bundled", entry.spec.kind != "top-down", entry.name)
    )


def model_path(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """Return the file behind a zoo name, an alias or a path; of several forms the float one.

    Whatever ends in ``.onnx``, has a folder in it or is an existing file counts as a path.

    Raises:
        ModelFileError: no model is called so, or it is published but not downloaded.
    """
    path = Path(name_or_path)
    if path.suffix == ".onnx" or set(str(name_or_path)) & {"/", "\\"} or path.is_file():
        return path
    files = _files(str(name_or_path), folder)
    return files.get("fp32") or files["int8"]


def remove_model(name: str) -> int:
    """Delete a downloaded model, also one whose file is damaged, and what was kept for its download.

    Args:
        name: a name of `downloaded_names`, or of `zoo_catalogue.CATALOGUE` where a checkpoint was kept.

    Returns:
        How many bytes are free again.

    Raises:
        UsageError: the model is bundled.
        ModelFileError: nothing of the kind was downloaded.
        SinkError: a file cannot be deleted.
    """
    if name in ALIASES or name in model_names():
        raise UsageError(
            f"{name} is bundled with the program and cannot be removed; only downloaded models can"
        )
    names = downloaded_names()
    doomed = list(variants(downloaded_dir() / f"{name}.onnx").values()) if name in names else []
    if (published := CATALOGUE.get(name)) and published.path:
        doomed += sorted(checkpoints_dir().glob(f"{published.file_name}*"))
        doomed += sorted(downloaded_dir().glob(f".{name}.*.onnx"))  # of a conversion that was killed
    if not doomed:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"downloaded are {', '.join(names) or 'none'}"
        raise ModelFileError(f"no model called {name!r} was downloaded; {hint}")
    freed = sum(path.stat().st_size for path in doomed)
    try:
        for path in doomed:
            path.unlink()
    except OSError as error:
        raise SinkError(f"{error.filename} cannot be deleted: {error.strerror or error}") from error
    return freed


def _files(name: str, folder: Path | None) -> dict[str, Path]:
    real_name = ALIASES.get(name, name)
    for place in (folder,) if folder else (models_dir(), downloaded_dir()):
        if files := variants(place / f"{real_name}.onnx"):
            return files
    if name in ALIASES:
        raise ModelFileError(
            f"the bundled model {real_name!r} behind {name!r} is not in {folder or models_dir()}; "
            "install the package again, or name another model"
        )
    if name in CATALOGUE:
        raise ModelFileError(
            f"the model {name!r} is published but not downloaded; run `steadypose models download {name}`"
        )
    names = model_names(folder) + ([] if folder else downloaded_names())
    near = get_close_matches(name, [*names, *ALIASES, *([] if folder else CATALOGUE)], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join([*ALIASES, *names])};"
    raise ModelFileError(f"there is no model called {name!r}; {hint} `steadypose models list` shows all")


def _count_parameters(path: Path) -> int:
    graph = onnx.load(str(path), load_external_data=False).graph
    # Weights of an INT8 file lie behind DequantizeLinear; scales and zero points are scalars or vectors
    # that train with nothing, so only what feeds a DequantizeLinear's first input counts there.
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    counted = [
        tensor
        for tensor in graph.initializer
        if tensor.name in quantised or (not quantised and tensor.data_type == onnx.TensorProto.FLOAT)
    ]
    return sum(prod(tensor.dims) for tensor in counted)
