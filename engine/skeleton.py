"""Skeletons: names, limbs, flip pairs and OKS sigmas of a set of keypoints.

A model file carries its own skeleton; the ones here are those that datasets define, and one's own is read
from a YAML file. Nothing else in the project lists keypoints.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from engine.errors import UsageError


class Skeleton(BaseModel):
    """A named set of K keypoints.

    limbs: pairs of keypoint indices drawn as lines. flip_pairs: pairs of indices exchanged by mirroring.
    oks_sigmas: K standard deviations relative to the square root of a person's area (COCO definition).
    upper_body: indices of the keypoints above the hips, which half-body augmentation may show alone; empty
    where nobody said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    oks_sigmas: tuple[float, ...]
    upper_body: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Skeleton":
        count = len(self.keypoints)
        if len(set(self.keypoints)) != count:
            raise ValueError(f"skeleton {self.name!r} names a keypoint twice")
        if len(self.oks_sigmas) != count:
            raise ValueError(
                f"skeleton {self.name!r} has {count} keypoints but {len(self.oks_sigmas)} oks_sigmas"
            )
        if min(self.oks_sigmas, default=1.0) <= 0:
            raise ValueError(f"skeleton {self.name!r} has an OKS sigma that is not positive")
        for pair in (*self.limbs, *self.flip_pairs):
            if not all(0 <= index < count for index in pair):
                raise ValueError(f"skeleton {self.name!r}: pair {pair} is outside 0..{count - 1}")
        flipped = [index for pair in self.flip_pairs for index in pair]
        if len(set(flipped)) != len(flipped):
            raise ValueError(f"skeleton {self.name!r} flips a keypoint twice")
        if not all(0 <= index < count for index in self.upper_body):
            raise ValueError(f"skeleton {self.name!r}: upper_body has an index outside 0..{count - 1}")
        return self

    @property
    def count(self) -> int:
        """Number of keypoints K."""
        return len(self.keypoints)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal; the arrays worked out from them have no say (and no truth value)."""
        if not isinstance(other, Skeleton):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Skeleton.model_fields)

    def __hash__(self) -> int:
        return hash(self.keypoints)

    @cached_property
    def flip_index(self) -> NDArray[np.int64]:
        """(K,) index i of the keypoint that takes the place of keypoint i in a mirrored picture."""
        index = np.arange(self.count)
        for left, right in self.flip_pairs:
            index[left], index[right] = right, left
        return index

    @cached_property
    def sigmas(self) -> NDArray[np.float32]:
        """(K,) float32 OKS sigmas."""
        return np.asarray(self.oks_sigmas, np.float32)


COCO17 = Skeleton(
    name="coco17",
    keypoints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
        (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    oks_sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
)  # fmt: skip

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    keypoints=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "neck",
    ),
    limbs=(
        (12, 13), (13, 0), (13, 1), (0, 2), (2, 4), (1, 3), (3, 5), (0, 6), (1, 7), (6, 7),
        (6, 8), (8, 10), (7, 9), (9, 11),
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    oks_sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 12, 13),
)  # fmt: skip

MPII16 = Skeleton(
    name="mpii16",
    keypoints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
        "left_elbow", "left_wrist",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (7, 12), (12, 11), (11, 10),
        (7, 13), (13, 14), (14, 15),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    oks_sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079, 0.062, 0.072, 0.079, 0.079,
        0.072, 0.062,
    ),
    upper_body=(7, 8, 9, 10, 11, 12, 13, 14, 15),
)  # fmt: skip

# PoseTrack itself judges by head sizes; these sigmas are those that OKS matching on it is published with.
POSETRACK17 = Skeleton(
    name="posetrack17",
    keypoints=(
        "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        (0, 1), (0, 2), (1, 5), (1, 6), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
        (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    flip_pairs=((3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    oks_sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
)  # fmt: skip

LSP14 = Skeleton(
    name="lsp14",
    keypoints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2, 8), (3, 9), (8, 7), (7, 6), (9, 10), (10, 11),
        (8, 12), (9, 12), (12, 13),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)),
    oks_sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.062, 0.072, 0.079, 0.079, 0.072, 0.062, 0.079, 0.079,
    ),
    upper_body=(6, 7, 8, 9, 10, 11, 12, 13),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14, MPII16, POSETRACK17, LSP14)}

DEFAULT_OKS_SIGMA = round(float(np.mean(COCO17.oks_sigmas)), 3)
"""Of a keypoint that COCO does not know and for which a skeleton file says nothing: COCO's mean, 0.067, near
that of a wrist (0.062) or an elbow (0.072)."""


def open_skeleton(name_or_path: str | Path) -> Skeleton:
    """Return a shipped skeleton by its name, or read one from a YAML file.

    A file has ``keypoints`` (names) and, as one likes, ``name`` (default: the file's), ``limbs`` and
    ``flip_pairs`` (pairs of names or indices; without ``flip_pairs`` every name with left goes with the same
    name with right), ``oks_sigmas`` (one value each, or a mapping from names; a keypoint without one has
    COCO's where COCO has its name, else `DEFAULT_OKS_SIGMA`) and ``upper_body`` (names or indices).

    Raises:
        UsageError: no shipped skeleton has this name, or the file is missing or says something impossible.
    """
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_skeleton(path)
    name = str(name_or_path)
    if name not in SKELETONS:
        near = get_close_matches(name.lower(), SKELETONS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(SKELETONS)}."
        raise UsageError(f"no skeleton is called {name!r}; {hint} One's own is a path that ends in .yaml")
    return SKELETONS[name]


FILE_KEYS = ("name", "keypoints", "limbs", "flip_pairs", "oks_sigmas", "upper_body")


def _read_skeleton(path: Path) -> Skeleton:
    if not path.is_file():
        raise UsageError(f"skeleton file {path} does not exist")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"skeleton file {path} is not YAML: {error}") from error
    if not isinstance(values, dict) or "keypoints" not in values:
        raise UsageError(f"skeleton file {path} must have `keypoints:`, a list of names")
    for key in values:
        if key not in FILE_KEYS:
            near = get_close_matches(str(key), FILE_KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(FILE_KEYS)}"
            raise UsageError(f"skeleton file {path}: {key!r} is no part of a skeleton; {hint}")
    try:
        return _build_skeleton(path.stem, values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"skeleton file {path}: {reason}") from error
    except ValueError as error:
        raise UsageError(f"skeleton file {path}: {error}") from error


def _build_skeleton(default_name: str, values: dict[Any, Any]) -> Skeleton:
    names = values["keypoints"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"keypoints must be a list of names, got {names!r}")
    sides = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
    mirrored = [[name, name.replace(*side, 1)] for name in names for side in sides if side[0] in name]
    pairs = values.get("flip_pairs", [pair for pair in mirrored if pair[1] in names])
    return Skeleton(
        name=str(values.get("name", default_name)),
        keypoints=tuple(names),
        limbs=_read_pairs("limbs", values.get("limbs") or [], names),
        flip_pairs=_read_pairs("flip_pairs", pairs or [], names),
        oks_sigmas=_read_sigmas(values.get("oks_sigmas") or {}, names),
        upper_body=tuple(_find("upper_body", item, names) for item in values.get("upper_body") or []),
    )


def _read_pairs(key: str, pairs: Any, names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    if not isinstance(pairs, list) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ValueError(f"{key} must be a list of pairs such as [left_knee, right_knee], got {pairs!r}")
    return tuple((_find(key, first, names), _find(key, second, names)) for first, second in pairs)


def _find(key: str, item: Any, names: Sequence[str]) -> int:
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(names):
        return item
    if item in names:
        return names.index(item)
    near = get_close_matches(str(item), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{key}: {item!r} is neither a keypoint nor an index in 0..{len(names) - 1}{hint}")


def _read_sigmas(sigmas: Any, names: Sequence[str]) -> tuple[float, ...]:
    if isinstance(sigmas, list):
        by_name = dict(zip(names, sigmas, strict=False))
        if len(sigmas) != len(names):
            raise ValueError(f"{len(names)} keypoints but {len(sigmas)} oks_sigmas")
    elif isinstance(sigmas, dict):
        by_name = {names[_find("oks_sigmas", name, names)]: value for name, value in sigmas.items()}
    else:
        raise ValueError(f"oks_sigmas must be a list or a mapping from names, got {sigmas!r}")
    for name, value in by_name.items():
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"oks_sigmas: {name} must have a positive number, got {value!r}")
    known = dict(zip(COCO17.keypoints, COCO17.oks_sigmas))
    return tuple(float(by_name.get(name, known.get(name, DEFAULT_OKS_SIGMA))) for name in names)
