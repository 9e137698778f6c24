"""Checkpoints in and out: our own training states and the published weights of others.

`load_weights` knows how official HRNet / HigherHRNet, mmpose 0.x and 1.x, timm, simple-HRNet, princeton-vl
and bearpaw files are wrapped and prefixed. It loads everything it was asked for or nothing, and never runs
code from a file: pickles are read with `weights_only=True`.
"""

import logging
import os
import pickle
import re
import struct
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from engine.errors import ModelFileError, SinkError

logger = logging.getLogger(__name__)

Part = Literal["auto", "all", "backbone"]

WRAPPERS = (
    "ema",
    "state_dict_ema",
    "best_state_dict",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
)
"""Keys under which checkpoints keep their weights, the preferred first."""

PREFIXES = ("module.", "model.", "net.", "_orig_mod.", "1.")
"""Prefixes that all keys of a file may share: DataParallel, a trainer's attribute, torch.compile, and `1.`
from half-precision training, where the network is the second of three modules in a Sequential."""

MMPOSE_PARTS = ("backbone.", "keypoint_head.", "head.")

HEADS = ("final_layer.", "final_layers.", "deconv_layers.", "outs.", "merge_preds.", "score.", "score_.")
"""What depends on the number of keypoints; the rest of a network is its backbone."""

CLASSIFIER_KEY = re.compile(
    r"(incre_modules|downsamp_modules|classifier|final_layer\.[01])\.|stage4\.\d+\.fuse_layers\.[123]\."
)
"""What HRNet files for ImageNet (timm, and the official ones) have and pose networks have not."""

NAMED = 3
"""How many keys of each kind an error names."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What `load_weights` did.

    Attributes:
        path: the file.
        source: wrapper keys and prefix that were taken off, for example `state_dict/model.module.`.
        loaded: number of tensors that now come from the file.
        initial: keys of the model that keep their initial values (the head, when only a backbone was loaded).
        ignored: keys of the file that were left out knowingly (a classifier, the head of another task).
    """

    path: Path
    source: str
    loaded: int
    initial: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every weight of the model came from the file."""
        return not self.initial


def load_weights(path: str | Path, model: nn.Module, *, part: Part = "auto") -> LoadReport:
    """Load a checkpoint into `model`, in place.

    Reads `.safetensors` and everything `torch.save` writes, of official HRNet and HigherHRNet, mmpose 0.x and
    1.x, timm (and the official ImageNet files), simple-HRNet, princeton-vl, bearpaw and our own training. Of
    our training checkpoints the averaged weights (`ema`) are taken where there are any.

    Args:
        path: the checkpoint.
        model: what `train.models.build_model` returned.
        part: `all` wants every weight; `backbone` loads all but the head (the layers that depend on the
            keypoints), so that ImageNet weights or a network for other keypoints can start a training;
            `auto` is `all`, except that an ImageNet classifier, which has no pose head, gives its backbone
            with a logged warning and a report that is not `complete`.

    Raises:
        ModelFileError: the file is missing, damaged, no checkpoint, holds objects other than weights, or
            does not fit the model. The model is unchanged then.
    """
    path = Path(path)
    state, source = _find_weights(path, read_checkpoint(path))
    state, source = _strip_prefixes(state, source)
    target = model.state_dict()
    ignored = [key for key in state if key not in target and CLASSIFIER_KEY.match(key)]
    if part == "auto":
        classifier_only = bool(ignored) and not any(key.startswith(HEADS) for key in state if key in target)
        part = "backbone" if classifier_only else "all"
        if part == "backbone":
            logger.warning("%s is an ImageNet classifier: its backbone is loaded, the pose head is not", path)
    if part == "backbone":
        ignored += [key for key in state if key.startswith(HEADS) and key not in ignored]
    dropped = set(ignored)
    given = {key: value for key, value in state.items() if key not in dropped}
    wanted = {key: value for key, value in target.items() if part == "all" or not key.startswith(HEADS)}
    check_fit(path, model, given, wanted)
    model.load_state_dict(given, strict=False)
    return LoadReport(
        path=path,
        source=source,
        loaded=len(given),
        initial=tuple(key for key in target if key not in wanted),
        ignored=tuple(ignored),
    )


def backbone_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the entries of a `state_dict` that do not depend on the number of keypoints."""
    return {key: value for key, value in state.items() if not key.startswith(HEADS)}


def read_checkpoint(path: str | Path) -> Any:
    """Return what is in a checkpoint file, tensors on the CPU, without running code from it.

    NumPy scalars and arrays are allowed beside tensors: official and mmpose checkpoints keep metrics in them.

    Raises:
        ModelFileError: the file is missing, empty, cut short, no checkpoint, or holds other objects.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(
            f"checkpoint {path} does not exist; give the path of a .pth or .safetensors file"
        )
    size = path.stat().st_size
    if size == 0:
        raise ModelFileError(f"checkpoint {path} is empty; copy or download it again")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_numpy_globals()), warnings.catch_warnings():
            # A plain pickle of another protocol than torch's: it is read, or refused below.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"unsupported (?:global: )?GLOBAL ([\w.]*\w)", str(error), re.IGNORECASE)
        if found:
            raise ModelFileError(
                f"{path} holds more than weights ({found.group(1)}), which only running code from the file "
                "could rebuild; save its state_dict alone, or as .safetensors, where it was made"
            ) from error
        raise _unreadable(path, size) from error
    except PermissionError as error:
        raise ModelFileError(f"checkpoint {path} may not be read: {error.strerror}") from error
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        AssertionError,
        BadZipFile,
        struct.error,
    ) as error:
        # All that the readers were seen to raise on foreign or broken bytes, also through a seek.
        raise _unreadable(path, size) from error


def save_checkpoint(path: str | Path, payload: Mapping[str, Any]) -> None:
    """Write `payload` by `torch.save` so that `path` holds the old or the new state, never a part.

    Args:
        path: the file; its folder is made if need be.
        payload: for a training state `model`, `ema` (a whole `state_dict` as well, buffers included),
            `optimizer`, `step`, `config`: tensors, numbers, strings and containers of them.

    Raises:
        SinkError: the folder cannot be written or the disk is full; an older file is left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(dict(payload), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        cause = _write_error(error)
        if cause is None:
            raise
        kept = "the older one is as it was; " if path.exists() else ""
        raise SinkError(
            f"checkpoint {path} cannot be written: {cause.strerror or cause}; {kept}make room or choose "
            "another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_error(error: BaseException | None) -> OSError | None:
    """Find what the system said: torch's writer raises its own error over that of a full disk."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _unreadable(path: Path, size: int) -> ModelFileError:
    return ModelFileError(
        f"{path} cannot be read as a checkpoint of torch or safetensors, or is cut short ({size} bytes); "
        "copy or download it again"
    )


def _numpy_globals() -> list[Any]:
    """Name what unpickling a NumPy scalar or array calls, under NumPy 1's and NumPy 2's module names."""
    rebuilders = {
        "scalar": np.float64(0).__reduce__()[0],
        "_reconstruct": np.zeros(0).__reduce__()[0],
    }
    named = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in rebuilders.items()
    ]
    return [*named, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}]


def _find_weights(path: Path, content: Any) -> tuple[dict[str, torch.Tensor], str]:
    """Descend through wrapper dictionaries to the first one that maps keys to tensors only."""
    source: list[str] = []
    while isinstance(content, Mapping):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return dict(content), "/".join(source)
        wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is None:
            break
        source.append(wrapper)
        content = content[wrapper]
    found = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        found = f"the keys {_some(map(str, content), len(content))}" if content else "nothing"
    raise ModelFileError(
        f"{path} holds no weights: expected a state_dict, bare or under one of {', '.join(WRAPPERS)}, "
        f"found {found}; is it a checkpoint of a network?"
    )


def _strip_prefixes(state: dict[str, torch.Tensor], source: str) -> tuple[dict[str, torch.Tensor], str]:
    """Take off the prefixes that all keys share, then mmpose's names for the parts of a network."""
    removed = ""
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        removed += prefix
    if any(key.startswith("backbone.") for key in state) and all(k.startswith(MMPOSE_PARTS) for k in state):
        state = {key.split(".", 1)[1]: value for key, value in state.items()}
        removed += "backbone."
    return state, "/".join(text for text in (source, removed) if text)


def check_fit(
    path: Path, model: nn.Module, given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> None:
    """Raise `ModelFileError` unless `given` has the keys and shapes of `wanted`.

    Batch norm's `num_batches_tracked` may be absent: files older than torch 0.4.1 do not have it, and it has
    no influence at the momentum used here.
    """
    missing = [key for key in wanted if key not in given and not key.endswith(".num_batches_tracked")]
    unexpected = [key for key in given if key not in wanted]
    reshaped = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    if not (missing or unexpected or reshaped):
        return
    shapes = (f"{key} is {_shape(given[key])} instead of {_shape(wanted[key])}" for key in reshaped)
    complaints = [
        f"{count} {what} ({_some(names, count)})"
        for count, what, names in (
            (len(missing), "missing", iter(missing)),
            (len(unexpected), "unexpected", iter(unexpected)),
            (len(reshaped), "of another shape", shapes),
        )
        if count
    ]
    raise ModelFileError(
        f"{path} does not fit {type(model).__name__}, nothing was loaded; of {len(wanted)} keys: "
        f"{', '.join(complaints)}; {_hint(missing, unexpected, reshaped)}"
    )


def _hint(missing: list[str], unexpected: list[str], reshaped: list[str]) -> str:
    """Say what most probably went wrong."""
    if not unexpected and all(key.startswith(HEADS) for key in (*missing, *reshaped)):
        if missing:
            return "the file has no pose head: to start a training from it, load it with part='backbone'"
        return "build the model with the file's number of keypoints, or load it with part='backbone'"
    if any(key.startswith(("hgs.", "hg.")) for key in unexpected):
        return "the hourglass has another variant (princeton, bearpaw) or number of stacks"
    return "build the model by the name, width and keypoints that the file was trained with"


def _some(names: Iterable[str], count: int) -> str:
    """Join the first few names."""
    first = [name for name, _ in zip(names, range(NAMED), strict=False)]
    return ", ".join(first) + (", ..." if count > NAMED else "")


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "a number"
