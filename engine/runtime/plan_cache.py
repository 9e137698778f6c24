"""Plans on disk: below the cache folder, one file each, beside it a JSON file that says what it is.

A plan is only good for what its key names. What is truncated, not ours or made for something else is never
used: it is forgotten with a line in the log and the plan built again. Files are written under another name
and moved into place, the JSON last, so that whoever looks meanwhile finds a whole plan or none.
"""

import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.cache import cache_dir, writable_cache_dir
from engine.cuda.device import DeviceInfo
from engine.errors import ModelFileError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic
from engine.runtime.plan_shapes import PlanShapes
from engine.runtime.tensorrt_package import TensorRtPackage

LOGGER = logging.getLogger(__name__)

FOLDER = "plans"
RECIPE = 1
"""Counts changes in how networks are prepared and built; plans of another count are built again."""
PORTABLE, PORTABLE_TURING = "portable, sm_80 and later", "portable, sm_75"
"""What a plan of TensorRT-RTX runs on: by its makers' word Turing wants a plan of its own."""

About = Mapping[str, str | int | float | bool]
"""What is told of a plan beside its key, ready for JSON."""


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan was made from and what it runs on.

    model: name of the model, for people; model_sha256: of the float file. package, package_version: that
    built it. gpu: name, compute capability and driver of the only GPU it runs on, or one of `PORTABLE` and
    `PORTABLE_TURING`. calibration: digest of the calibration inputs, empty but for int8.
    """

    model: str
    model_sha256: str
    package: str
    package_version: str
    gpu: str
    precision: Arithmetic
    shapes: PlanShapes
    calibration: str = ""
    recipe: int = RECIPE

    def digest(self) -> str:
        """Return hexadecimal text that differs where anything differs."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:40]

    def to_json(self) -> dict[str, Any]:
        """Return the key as JSON holds it: lists for tuples."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields


def plan_key(
    spec: ModelSpec,
    model_sha256: str,
    package: TensorRtPackage,
    precision: Arithmetic,
    shapes: PlanShapes,
    *,
    gpu: DeviceInfo | None,
    calibration: str = "",
) -> PlanKey:
    """Return the key of a plan.

    Args:
        spec: of the float model.
        model_sha256: of its file.
        package: that builds and runs the plan.
        precision: arithmetic of the plan.
        shapes: inputs that it takes.
        gpu: that it is for; a package whose plans are portable asks only whether it is a Turing.
        calibration: digest of the calibration inputs, for int8.

    Raises:
        ValueError: no GPU was given for a plan that is not portable.
    """
    if package.portable:
        where = PORTABLE_TURING if gpu is not None and is_turing(gpu) else PORTABLE
    elif gpu is None:
        raise ValueError(f"a plan of {package.name} belongs to one GPU, but none was given")
    else:
        major, minor = gpu.compute_capability
        where = f"{gpu.name}, sm_{major}{minor}, driver {gpu.driver[0]}.{gpu.driver[1]}"
    return PlanKey(
        spec.name, model_sha256, package.name, package.version, where, precision, shapes, calibration
    )


def is_turing(gpu: DeviceInfo) -> bool:
    """Tell whether a GPU is of the oldest architecture that runs plans."""
    return gpu.compute_capability == (7, 5)


@dataclass(slots=True, eq=False)
class StoredPlan:
    """A plan that was found or made.

    key: what it is. path: its file; None where the cache cannot be written and the plan is in memory only.
    sha256, nbytes: of the plan. about: what else was noted when it was made, `seconds` among it. parity: what
    `mark_parity` noted; None until the plan was compared with the float model.
    """

    key: PlanKey
    path: Path | None
    sha256: str
    nbytes: int
    about: About
    parity: About | None = None
    data: bytes | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """Return the plan, compared with its hash.

        Raises:
            ModelFileError: the file is gone, cannot be read, or is not what was written; `discard` it.
        """
        if self.data is not None:
            return self.data
        assert self.path is not None
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelFileError(f"plan {self.path} cannot be read ({error}); build it again") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelFileError(
                f"plan {self.path} must be the {self.nbytes} bytes that were written, but {len(data)} others "
                "are there; build it again"
            )
        return data

    def mark_parity(self, parity: About) -> None:
        """Note how the plan compares with the float model; a cache that cannot be written is only logged."""
        self.parity = dict(parity)
        if self.path is None:
            return
        try:
            _write(self.path.with_suffix(".json"), _sidecar_text(self))
        except OSError as error:
            LOGGER.warning("%s is compared with the float model again next time: %s", self.path, error)

    def prefer(self) -> None:
        """Let `find_calibrations` name this plan first; a cache that cannot be written is only logged."""
        if self.path is None:
            return
        try:
            os.utime(self.path.with_suffix(".json"))
        except OSError as error:
            LOGGER.warning("%s cannot be noted as the plan that is wanted: %s", self.path, error)

    def discard(self) -> None:
        """Delete the plan's files; those that are gone or cannot be deleted are left."""
        if self.path is not None:
            _delete(self.path)


def find_plan(key: PlanKey) -> StoredPlan | None:
    """Return the plan of a key, or None where there is none that can be used; nothing is raised.

    What lies under the key's name and is damaged or of another key is deleted.
    """
    path = _plan_path(cache_dir() / FOLDER, key)
    sidecar = path.with_suffix(".json")
    try:
        noted = json.loads(sidecar.read_text(encoding="utf-8"))
        size = path.stat().st_size
        plan = StoredPlan(key, path, noted["sha256"], noted["nbytes"], noted["about"], noted["parity"])
        if noted["key"] != key.to_json():
            raise ValueError("it is of another model or machine")
        if size != plan.nbytes:
            raise ValueError(f"it has {size} bytes of {plan.nbytes}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        LOGGER.warning("plan %s cannot be used (%s) and is built again", path, error)
        _delete(path)
        return None
    return plan


def find_calibrations(key: PlanKey) -> list[str]:
    """Return the calibrations of the plans that differ from a key in that only, the last wanted first."""
    wanted = key.to_json() | {"calibration": ""}
    found: list[tuple[float, str]] = []
    for sidecar in (cache_dir() / FOLDER).glob("*.json"):
        try:
            other = json.loads(sidecar.read_text(encoding="utf-8"))["key"]
            if other | {"calibration": ""} == wanted:
                found.append((sidecar.stat().st_mtime, str(other["calibration"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            LOGGER.debug("%s says nothing of a plan: %s", sidecar, error)
    return [calibration for _, calibration in sorted(found, reverse=True)]


def store_plan(key: PlanKey, data: bytes, about: About) -> StoredPlan:
    """Write a plan; plans that other versions of the package, the driver or this program left go.

    Where the cache cannot be written (no permission, disk full) that is logged as a warning, nothing is left
    half written, and the plan comes back in memory.
    """
    plan = StoredPlan(key, None, hashlib.sha256(data).hexdigest(), len(data), dict(about), data=data)
    folder = writable_cache_dir(FOLDER)
    if folder is None:
        return plan
    path = _plan_path(folder, key)
    try:
        # Without its sidecar an older plan of this key is no plan; the new one counts once its own is there.
        path.with_suffix(".json").unlink(missing_ok=True)
        _write(path, data)
        _write(path.with_suffix(".json"), _sidecar_text(plan))
    except OSError as error:
        LOGGER.warning("plan %s cannot be kept (%s) and is built again next time", path, error)
        _delete(path)
        return plan
    plan.path, plan.data = path, None
    _delete_outdated(path, key)
    return plan


def _plan_path(folder: Path, key: PlanKey) -> Path:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", key.model)[:60]
    return folder / f"{name}-{key.precision}-{key.digest()}.plan"


def _sidecar_text(plan: StoredPlan) -> bytes:
    noted = {
        "key": plan.key.to_json(),
        "sha256": plan.sha256,
        "nbytes": plan.nbytes,
        "about": dict(plan.about),
        "parity": None if plan.parity is None else dict(plan.parity),
    }
    return json.dumps(noted, indent=2).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _delete(path: Path) -> None:
    """Delete a plan and its sidecar, the latter first."""
    for file in (path.with_suffix(".json"), path):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            LOGGER.warning("%s cannot be deleted: %s", file, error)


def _delete_outdated(path: Path, key: PlanKey) -> None:
    """Delete plans of the same model file and GPU that an update left behind; they may have 100 MB each."""
    for sidecar in path.parent.glob("*.json"):
        if sidecar == path.with_suffix(".json"):
            continue
        try:
            other = json.loads(sidecar.read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            LOGGER.debug("%s says nothing of a plan: %s", sidecar, error)
            continue
        if _lineage(other) == _lineage(key.to_json()):
            LOGGER.info("%s is of an older version and is deleted", sidecar.with_suffix(".plan"))
            _delete(sidecar.with_suffix(".plan"))


def _lineage(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what stays the same when a package, a driver or this program is updated."""
    same = {name: value for name, value in fields.items() if name not in ("package_version", "recipe", "gpu")}
    return same | {"gpu": str(fields.get("gpu")).partition(", driver")[0]}
