"""Light of a synthetic scene: taken from its panorama, cast onto surfaces, with shadows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.rasterizer import FrameBuffer, draw_triangles, new_frame_buffer
from train.data.synthetic_materials import Material, albedo, sample_noise

SHADOW_STEP_M = 0.02
SHADOW_BIAS_M = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Ambient light that depends on direction, and one key light.

    ambient: (4, 3) linear BGR: constant, and slopes along x, y, z of a unit normal. towards: (3,) unit vector
    to the key light. key: (3,) linear BGR of the key light.
    """

    ambient: NDArray[np.float32]
    towards: NDArray[np.float64]
    key: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Something solid in the world, ready to be drawn.

    vertices, normals: (V, 3) world. rest: (V, 3) positions that patterns follow, metres. triangles: (F, 3).
    material: (F,) index into `materials`. double_sided: (F,) bool.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    rest: NDArray[np.float32]
    triangles: NDArray[np.int32]
    material: NDArray[np.int64]
    double_sided: NDArray[np.bool_]
    materials: tuple[Material, ...]

    def __repr__(self) -> str:
        return f"Mesh(vertices={len(self.vertices)}, triangles={len(self.triangles)})"


@dataclass(frozen=True, slots=True, eq=False)
class ShadowMap:
    """Distance of the first surface seen from the key light, on a grid across its direction."""

    buffer: FrameBuffer
    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    step: float

    def shade(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return how much of the key light is blocked at world points (P, 3): 0 none, 1 all."""
        local = (points - self.origin) @ self.axes.T
        height, width = self.buffer.size
        blocked = np.zeros(len(points), np.float32)
        for shift_x, shift_y in ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)):
            column = np.floor(local[:, 0] / self.step + shift_x + 0.5).astype(np.int64)
            row = np.floor(local[:, 1] / self.step + shift_y + 0.5).astype(np.int64)
            inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
            nearest = self.buffer.inverse_depth[np.where(inside, row, 0), np.where(inside, column, 0)]
            blocked += inside & (nearest > local[:, 2] + SHADOW_BIAS_M)
        return blocked / np.float32(4)


def light_from_panorama(panorama: NDArray[np.uint8], turn: float, rng: np.random.Generator) -> Light:
    """Estimate the light of a scene from its equirectangular panorama (h, 2h, 3) uint8 BGR.

    `turn` is the same as for `view_panorama`. The brightest region gives the key light, first-order spherical
    harmonics the ambient light; strength and contrast vary at random since the panorama is tone-mapped.
    """
    small = (cv2.resize(panorama, (64, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255) ** 2.2
    latitude = (0.5 - (np.arange(32) + 0.5) / 32) * np.pi
    longitude = ((np.arange(64) + 0.5) / 64 - 0.5) * 2 * np.pi - turn
    direction = np.stack(
        [
            -np.sin(longitude)[None] * np.cos(latitude)[:, None],
            np.repeat(np.sin(latitude)[:, None], 64, 1),
            np.cos(longitude)[None] * np.cos(latitude)[:, None],
        ],
        -1,
    )
    area = np.repeat(np.cos(latitude)[:, None], 64, 1)
    area /= area.sum()
    constant = (small * area[..., None]).sum((0, 1))
    slopes = 2 * np.einsum("hw,hwd,hwc->dc", area, direction, small)
    tint = constant / constant.mean()
    level = float(np.clip(constant.mean() * 3.0, 0.4, 0.9))
    ambient = np.concatenate([constant[None], slopes]) / constant.mean() * level
    bright = cv2.GaussianBlur(small.mean(2), (0, 0), 1.5) * (direction[..., 1] > 0.15)
    towards = direction[np.unravel_index(int(bright.argmax()), bright.shape)].copy()
    towards[1] = max(towards[1], 0.5)
    towards /= np.linalg.norm(towards)
    strength = rng.uniform(0.25, 1.1)
    key = (0.7 + 0.3 * tint) * np.array([0.92, 0.98, 1.0]) * strength
    return Light((ambient * rng.uniform(0.75, 1.15)).astype(np.float32), towards, key.astype(np.float32))


def cast_shadows(meshes: Sequence[Mesh], light: Light, step: float = SHADOW_STEP_M) -> ShadowMap:
    """Draw all meshes as seen from the key light."""
    across = np.cross(light.towards, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(across, light.towards), light.towards])
    local = [mesh.vertices @ axes.T for mesh in meshes]
    low = np.min([points.min(0) for points in local], 0) - 0.05
    high = np.max([points.max(0) for points in local], 0) + 0.05
    step = max(step, float((high - low)[:2].max()) / 1200)
    columns, rows = (np.ceil((high - low)[:2] / step).astype(int) + 1).tolist()
    buffer = new_frame_buffer((rows, columns))
    for mesh, points in zip(meshes, local):
        moved = points - low
        # Heights above the far plane stand in for 1/depth: greater is nearer to the light, both are affine.
        both = np.ones(len(mesh.triangles), bool)
        draw_triangles(buffer, moved[:, :2] / step, moved[:, 2] + 1e-3, mesh.triangles, double_sided=both)
    return ShadowMap(buffer, axes, low @ axes, step)


def shade_pixels(
    mesh: Mesh,
    triangle: NDArray[np.integer],
    weights: NDArray[np.floating],
    inverse_depth: NDArray[np.floating],
    eye: NDArray[np.floating],
    light: Light,
    shadows: ShadowMap | None,
) -> NDArray[np.float32]:
    """Return the linear BGR colour (P, 3) of pixels that see `mesh`.

    Args:
        mesh: what is seen.
        triangle: (P,) which of its triangles.
        weights: (P, 2) screen-space weights of the second and third corner.
        inverse_depth: (V,) 1/metres of its vertices, for perspective-correct interpolation.
        eye: (3,) camera position.
        light: the scene's light.
        shadows: blocks the key light, if given.
    """
    corners = mesh.triangles[triangle]
    screen = np.concatenate([1 - weights.sum(1, keepdims=True), weights], 1) * inverse_depth[corners]
    weight = (screen / screen.sum(1, keepdims=True)).astype(np.float32)
    attributes = np.concatenate([mesh.vertices, mesh.normals, mesh.rest], 1).astype(np.float32)
    mixed = weight[:, :1] * attributes[corners[:, 0]]
    for corner in (1, 2):
        mixed += weight[:, corner : corner + 1] * attributes[corners[:, corner]]
    position, normal, rest = mixed[:, :3], mixed[:, 3:6], mixed[:, 6:]
    view = eye.astype(np.float32) - position
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    normal = np.where((normal * view).sum(1, keepdims=True) < -0.15, -normal, normal)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    lit = (
        1 - shadows.shade(position + normal * 0.02)
        if shadows is not None
        else np.ones(len(position), np.float32)
    )
    which = mesh.material[triangle]
    colour = np.empty_like(position)
    for index in np.unique(which):
        here = np.flatnonzero(which == index)
        colour[here] = _shade_material(
            mesh.materials[index], rest[here], normal[here], view[here], lit[here], light
        )
    return colour


def _shade_material(
    material: Material,
    rest: NDArray[np.float32],
    normal: NDArray[np.float32],
    view: NDArray[np.float32],
    lit: NDArray[np.float32],
    light: Light,
) -> NDArray[np.float32]:
    if material.wrinkle:
        u, v = rest[:, 0] + 0.7 * rest[:, 2], rest[:, 1]
        tilt = np.stack(
            [sample_noise(2, u * 0.8, v * 0.8), sample_noise(3, u * 0.8, v * 0.8), np.zeros_like(u)], 1
        )
        bent = normal + material.wrinkle * tilt
        normal = np.asarray(bent / np.linalg.norm(bent, axis=1, keepdims=True), np.float32)
    towards = light.towards.astype(np.float32)
    facing = normal @ towards
    diffuse = np.clip((facing + 0.12) / 1.12, 0, None) * lit
    ambient = np.clip(light.ambient[0] + normal @ light.ambient[1:], 0.03, None)
    result = albedo(material, rest) * (ambient + diffuse[:, None] * light.key)
    if material.gloss:
        half = view + towards
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        shine = np.clip((normal * half).sum(1), 0, 1) ** material.shininess * (facing > 0) * lit
        result += (material.gloss * shine)[:, None] * light.key
    return result
