"""What is behind synthetic people: CC0 panoramas, or plain photographs without people, and solid props."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from train.data.synthetic_camera import Camera, view_panorama
from train.data.synthetic_materials import Material, random_cloth
from train.data.synthetic_shading import Light, Mesh, light_from_panorama

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
PANORAMAS_HELD = 16


class Backdrops:
    """A folder of background pictures; twice as wide as high means equirectangular panorama."""

    def __init__(self, folder: Path) -> None:
        self.paths = (
            sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            if folder.is_dir()
            else []
        )
        if not self.paths:
            raise UsageError(
                f"no background pictures (.jpg, .png) in {folder}; give the folder with --backgrounds"
            )
        self._held: dict[Path, NDArray[np.uint8]] = {}

    def picture(self, path: Path) -> NDArray[np.uint8]:
        """Return a background picture (h, w, 3) uint8 BGR."""
        path = path.resolve()
        if path in self._held:
            return self._held[path]
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if read is None:
            raise UsageError(f"the background {path} cannot be read as a picture; remove it or mend it")
        picture = np.asarray(read, np.uint8)
        if len(self._held) < PANORAMAS_HELD and is_panorama(picture):
            self._held[path] = picture
        return picture

    def named(self, name: str) -> NDArray[np.uint8]:
        """Return the background picture whose file is called `name` (without its ending)."""
        for path in self.paths:
            if path.stem == name:
                return self.picture(path)
        names = ", ".join(path.stem for path in self.paths)
        raise UsageError(f"no background {name!r} in {self.paths[0].parent}; there are {names}")

    def random_view(self, camera: Camera, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Light]:
        """Return a random background as `camera` sees it, (H, W, 3) uint8 BGR, and its light."""
        picture = self.picture(self.paths[int(rng.integers(len(self.paths)))])
        turn = float(rng.uniform(0, 2 * np.pi))
        light = light_from_panorama(picture, turn, rng)
        if is_panorama(picture):
            return view_panorama(picture, camera, turn), light
        return _cover(picture, camera.size, rng), light


def is_panorama(picture: NDArray[np.uint8]) -> bool:
    """Tell an equirectangular panorama from a plain photograph by its shape."""
    return picture.shape[1] == 2 * picture.shape[0]


def _cover(picture: NDArray[np.uint8], size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a random part of a photograph that fills `size` (height, width)."""
    height, width = size
    least = max(height / picture.shape[0], width / picture.shape[1])
    scale = least * rng.uniform(1.0, 1.4)
    large = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    large = cv2.resize(large, (max(large.shape[1], width), max(large.shape[0], height)))
    top = int(rng.integers(large.shape[0] - height + 1))
    left = int(rng.integers(large.shape[1] - width + 1))
    cut = large[top : top + height, left : left + width]
    return np.ascontiguousarray(cut[:, ::-1] if rng.random() < 0.5 else cut)


def box_mesh(
    centre: tuple[float, float, float], size: tuple[float, float, float], yaw: float, material: Material
) -> Mesh:
    """Return an upright box.

    Args:
        centre: (x, y, z) of its middle, metres.
        size: (x, y, z) of its edges, metres.
        yaw: its turn about the vertical, radians.
        material: of all its sides.
    """
    faces = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            first, second = np.zeros(3), np.zeros(3)
            first[(axis + 1) % 3], second[(axis + 2) % 3] = 1.0, side
            normal = np.zeros(3)
            normal[axis] = side
            corners = np.array(
                [normal + a * first + b * second for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            )
            faces.append((corners, normal))
    corners = np.concatenate([face for face, _ in faces]) * np.asarray(size) / 2
    normals = np.repeat(np.stack([normal for _, normal in faces]), 4, 0)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    quads = np.arange(24).reshape(6, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    return Mesh(
        (corners @ turn.T + np.asarray(centre)).astype(np.float32),
        (normals @ turn.T).astype(np.float32),
        corners.astype(np.float32),
        triangles,
        np.zeros(12, np.int64),
        np.zeros(12, bool),
        (material,),
    )


def random_prop_material(rng: np.random.Generator) -> Material:
    """Draw the look of a thing: the colours of cloth, coarser and duller."""
    cloth = random_cloth(rng, patterned=0.5)
    scale = float(rng.uniform(0.03, 0.2))
    return Material(cloth.colour, cloth.second, cloth.pattern, scale=scale, grain=0.1, gloss=0.05)


def random_prop(rng: np.random.Generator, x: float, z: float) -> Mesh:
    """Draw a box, a post, a board or a table top that stands at (x, z) metres."""
    material = random_prop_material(rng)
    kind = rng.integers(4)
    if kind == 0:
        size = (rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.1), rng.uniform(0.3, 0.8))
    elif kind == 1:
        size = (rng.uniform(0.06, 0.3), rng.uniform(1.5, 3.5), rng.uniform(0.06, 0.3))
    elif kind == 2:
        size = (rng.uniform(0.5, 1.3), rng.uniform(0.6, 1.6), 0.04)
    else:
        size = (rng.uniform(0.8, 1.8), 0.06, rng.uniform(0.5, 0.9))
    width, height, depth = (float(value) for value in size)
    middle = 0.75 if kind == 3 else height / 2
    return box_mesh((x, middle, z), (width, height, depth), float(rng.uniform(0, np.pi)), material)
