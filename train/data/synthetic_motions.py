"""Motion clips of the synthetic people: loading, mirroring, looping, joining."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A clip of T frames at 30 frames/s.

    rotation: (T, B, 4) local quaternions (w, x, y, z) of B bones. root: (T, 3) position of the root in leg
    lengths. floor: (T, bodies) metres to add to y so that the soles of each body touch the ground.
    """

    name: str
    rotation: NDArray[np.float64]
    root: NDArray[np.float64]
    floor: NDArray[np.float64]
    swap: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.root)

    def __repr__(self) -> str:
        return f"Motion({self.name!r}, frames={len(self)})"


def load_motion(path: Path, bones: list[str]) -> Motion:
    """Read a clip; `bones` are the bone names, whose `.L`/`.R` endings tell what mirroring exchanges."""
    with np.load(path) as file:
        rotation, root, floor = (
            file[key].astype(np.float64) for key in ("rotation", "root_position", "floor_offset")
        )
    other = {".L": ".R", ".R": ".L"}
    swap = np.array(
        [
            bones.index(name[:-2] + other[name[-2:]]) if name[-2:] in other else i
            for i, name in enumerate(bones)
        ]
    )
    return Motion(path.stem, rotation, root, np.tile(floor, (len(root), 1)), swap)


def mirrored(motion: Motion) -> Motion:
    """Return the clip as seen in a mirror: left and right exchanged."""
    rotation = motion.rotation[:, motion.swap] * (1.0, 1.0, -1.0, -1.0)
    return Motion(
        motion.name + "_mirrored", rotation, motion.root * (-1.0, 1.0, 1.0), motion.floor, motion.swap
    )


def rotation_matrices(quaternion: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (..., 3, 3) matrices of unit quaternions (..., 4) in the order w, x, y, z."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def turned(rotation: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    """Turn poses (..., B, 4) about the vertical by `yaw` radians (from +Z towards +X); the root is bone 0."""
    half_w, half_y = np.cos(yaw / 2), np.sin(yaw / 2)
    w, x, y, z = np.moveaxis(rotation[..., 0, :], -1, 0)
    root = np.stack(
        [half_w * w - half_y * y, half_w * x + half_y * z, half_w * y + half_y * w, half_w * z - half_y * x],
        -1,
    )
    result = rotation.copy()
    result[..., 0, :] = root
    return result


def blended(first: NDArray[np.float64], second: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the normalised mean of two poses (B, 4), `weight` of the second."""
    sign = np.where((first * second).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    mixed = (1 - weight) * first + weight * sign * second
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def looped(motion: Motion, frames: int, *, blend: int = 8, shortest: int = 20) -> Motion:
    """Repeat a clip up to `frames` frames without a visible seam.

    The two most similar moments at least `shortest` frames apart are found; the part between them is
    repeated, cross-faded over `blend` frames, the root moving on from where it was.
    """
    start, stop = _seam(motion, blend, shortest)
    period = stop - start
    rotation, root = motion.rotation[start:stop].copy(), motion.root[start:stop].copy()
    stride = motion.root[stop] - motion.root[start]
    stride[1] = 0.0
    for step in range(blend):
        # The last frames of a cycle fade into the frames that precede its first one.
        weight = (step + 1) / (blend + 1)
        cycle, before = period - blend + step, start - blend + step
        rotation[cycle] = blended(rotation[cycle], motion.rotation[before], weight)
        root[cycle] = (1 - weight) * root[cycle] + weight * (motion.root[before] + stride)
    turns, phase = np.divmod(np.arange(frames), period)
    return Motion(
        motion.name,
        rotation[phase],
        root[phase] + turns[:, None] * stride,
        motion.floor[:1].repeat(frames, 0),
        motion.swap,
    )


def _seam(motion: Motion, blend: int, shortest: int) -> tuple[int, int]:
    """Return frames (start, stop) that look most alike, in pose and in how it changes."""
    count = len(motion)
    usable = np.arange(blend, count - 1)
    rotation = rotation_matrices(motion.rotation).reshape(count, -1)
    feature = np.concatenate([rotation, motion.root[:, 1:2] * 3], 1)
    feature = np.concatenate([feature, 4 * np.gradient(feature, axis=0)], 1)[usable]
    distance = np.linalg.norm(feature[:, None] - feature[None], axis=2)
    gap = usable[None] - usable[:, None]
    distance[gap < min(shortest, len(usable) - 1)] = np.inf
    first, second = np.unravel_index(int(distance.argmin()), distance.shape)
    return int(usable[first]), int(usable[second])


def joined(clips: list[Motion], *, blend: int = 15) -> Motion:
    """Play clips one after the other, cross-fading `blend` frames; the root moves on from where it was."""
    result = clips[0]
    for clip in clips[1:]:
        shift = result.root[-blend] - clip.root[0]
        shift[1] = 0.0
        root = clip.root + shift
        rotation, position = result.rotation[-blend:].copy(), result.root[-blend:].copy()
        floor = result.floor[-blend:].copy()
        for step in range(blend):
            weight = (step + 1) / (blend + 1)
            weight = weight * weight * (3 - 2 * weight)
            rotation[step] = blended(rotation[step], clip.rotation[step], weight)
            position[step] = (1 - weight) * position[step] + weight * root[step]
            floor[step] = (1 - weight) * floor[step] + weight * clip.floor[step]
        result = Motion(
            f"{result.name}+{clip.name}",
            np.concatenate([result.rotation[:-blend], rotation, clip.rotation[blend:]]),
            np.concatenate([result.root[:-blend], position, root[blend:]]),
            np.concatenate([result.floor[:-blend], floor, clip.floor[blend:]]),
            result.swap,
        )
    return result
