"""Draw one picture of synthetic people before a panorama and say where every keypoint is."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.rasterizer import FrameBuffer, draw_triangles, new_frame_buffer
from train.data.synthetic_bodies import KEYPOINT_DEPTH_M
from train.data.synthetic_camera import NEAR_M, Camera
from train.data.synthetic_shading import Light, Mesh, ShadowMap, cast_shadows, shade_pixels

GROUND_CONTACT_M = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class PersonTruth:
    """Where one synthetic person is in the picture, exactly.

    keypoints: (17, 2) float64 frame px, also outside the frame. visibility: (17,) 0 outside the frame or
    behind the camera, 1 occluded, 2 visible. bbox: (4,) xyxy of the whole outline, hidden parts too, cut by
    the frame; None if nothing of it is inside. area: px² of that outline inside the frame.
    visible_fraction: share of that area which nothing hides.
    """

    keypoints: NDArray[np.float64]
    visibility: NDArray[np.int64]
    bbox: NDArray[np.float64] | None
    area: float
    visible_fraction: float

    def __repr__(self) -> str:
        return f"PersonTruth(visible={int((self.visibility == 2).sum())}, bbox={self.bbox})"


def draw_scene(
    camera: Camera,
    backdrop: NDArray[np.uint8],
    people: Sequence[tuple[Mesh, NDArray[np.float64]]],
    props: Sequence[Mesh],
    light: Light,
    *,
    samples: int = 2,
    ground_shadow: float = 1.0,
) -> tuple[NDArray[np.float32], list[PersonTruth]]:
    """Draw people and props before a backdrop.

    Args:
        camera: the view, of the backdrop's size.
        backdrop: (H, W, 3) uint8 BGR, what is behind everything.
        people: mesh and keypoints (17, 3) world metres of each person.
        props: other solid things.
        light: the scene's light.
        samples: samples per pixel along each side, for smooth edges.
        ground_shadow: strength of the shadows on the ground, 0 for none.

    Returns:
        The picture (H, W, 3) float32 BGR in [0, 255] and one truth per person.
    """
    fine = camera.scaled(samples)
    buffer = new_frame_buffer(fine.size)
    meshes = [mesh for mesh, _ in people] + list(props)
    outlines, depths, first = [], [], 0
    for mesh in meshes:
        points, depth = fine.project(mesh.vertices)
        inverse = np.where(depth > NEAR_M, 1 / np.maximum(depth, NEAR_M), 0).astype(np.float32)
        outlines.append(
            draw_triangles(
                buffer, points, inverse, mesh.triangles, double_sided=mesh.double_sided, first_index=first
            )
        )
        depths.append(inverse)
        first += len(mesh.triangles)
    truths = [
        _truth(camera, fine, buffer, keypoints, outlines[i], *_span(meshes, i), samples)
        for i, (_, keypoints) in enumerate(people)
    ]
    shadows = cast_shadows(meshes, light) if meshes else None
    ground = (backdrop.astype(np.float32) / 255) ** 2.2
    if shadows is not None and ground_shadow > 0:
        ground *= 1 - ground_shadow * _ground_shadow(camera, meshes, shadows, light)
    picture = np.asarray(cv2.resize(ground, fine.size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    _paint(picture, buffer, meshes, depths, camera, light, shadows)
    picture = np.clip(picture, 0, 1) ** np.float32(1 / 2.2) * 255
    return np.asarray(
        cv2.resize(picture, camera.size[::-1], interpolation=cv2.INTER_AREA), np.float32
    ), truths


def _span(meshes: Sequence[Mesh], index: int) -> tuple[int, int]:
    """Return the first and one past the last triangle number of a mesh."""
    first = sum(len(mesh.triangles) for mesh in meshes[:index])
    return first, first + len(meshes[index].triangles)


def _paint(
    picture: NDArray[np.float32],
    buffer: FrameBuffer,
    meshes: Sequence[Mesh],
    depths: Sequence[NDArray[np.float32]],
    camera: Camera,
    light: Light,
    shadows: ShadowMap | None,
) -> None:
    """Colour every pixel that sees a mesh, in place."""
    seen = np.flatnonzero(buffer.triangle.reshape(-1) >= 0)
    triangle = buffer.triangle.reshape(-1)[seen]
    weights = buffer.weights.reshape(-1, 2)[seen]
    flat, eye = picture.reshape(-1, 3), np.asarray(camera.position)
    for index, mesh in enumerate(meshes):
        first, last = _span(meshes, index)
        here = np.flatnonzero((triangle >= first) & (triangle < last))
        if len(here):
            flat[seen[here]] = shade_pixels(
                mesh, triangle[here] - first, weights[here], depths[index], eye, light, shadows
            )


def _ground_shadow(
    camera: Camera, meshes: Sequence[Mesh], shadows: ShadowMap, light: Light
) -> NDArray[np.float32]:
    """Return (H, W, 1) the share of light missing; all of the backdrop below the horizon is ground."""
    height, width = camera.size
    step = 2
    columns, rows = np.meshgrid(np.arange(0, width, step), np.arange(0, height, step))
    ground = camera.ground_points(np.stack([columns, rows], -1).reshape(-1, 2).astype(np.float64))
    blocked = np.zeros(len(ground), np.float32)
    near = np.flatnonzero(np.isfinite(ground[:, 0]))
    key = float(light.key.mean())
    share = key * light.towards[1] / (key * light.towards[1] + float(light.ambient[0].mean()))
    contact = _contact(ground[near], meshes)
    blocked[near] = 1 - (1 - share * shadows.shade(ground[near])) * (1 - 0.65 * contact)
    plane = cv2.GaussianBlur(blocked.reshape(rows.shape), (0, 0), 1.2)
    plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(plane, np.float32)[..., None]


def _contact(points: NDArray[np.float64], meshes: Sequence[Mesh]) -> NDArray[np.float32]:
    """Return the ambient occlusion (P,) in [0, 1] of ground points (P, 3) under what is close above."""
    low = [mesh.vertices[mesh.vertices[:, 1] < GROUND_CONTACT_M] for mesh in meshes]
    corner = np.concatenate(low) if low else np.empty((0, 3))
    if not len(corner):
        return np.zeros(len(points), np.float32)
    step = 0.03
    origin = corner[:, [0, 2]].min(0) - 0.4
    size = np.minimum(np.ceil((corner[:, [0, 2]].max(0) + 0.4 - origin) / step).astype(int), 2000)
    plane = np.zeros((size[1] + 1, size[0] + 1), np.float32)
    cell = np.minimum(((corner[:, [0, 2]] - origin) / step).astype(int), size)
    np.maximum.at(plane, (cell[:, 1], cell[:, 0]), np.exp(-corner[:, 1] / 0.08).astype(np.float32))
    plane = cv2.GaussianBlur(cv2.dilate(plane, np.ones((3, 3), np.uint8)), (0, 0), 2.2)
    where = np.floor((points[:, [0, 2]] - origin) / step).astype(np.int64)
    inside = ((where >= 0) & (where <= size)).all(1)
    where[~inside] = 0
    return np.clip(plane[where[:, 1], where[:, 0]] * inside, 0, 1)


def _truth(
    camera: Camera,
    fine: Camera,
    buffer: FrameBuffer,
    keypoints: NDArray[np.float64],
    outline: NDArray[np.int64],
    first: int,
    last: int,
    samples: int,
) -> PersonTruth:
    """Read a person's truth off the finished depth buffer."""
    points, _ = camera.project(keypoints)
    visibility = keypoint_visibility(fine, buffer, keypoints)
    if not len(outline):
        return PersonTruth(points, np.zeros(17, np.int64), None, 0.0, 0.0)
    row, column = np.divmod(outline, fine.size[1])
    # Fine pixel c covers [c - 0.5, c + 0.5]; its edges in frame pixels:
    edges = np.array([column.min(), row.min(), column.max() + 1, row.max() + 1]) / samples - 0.5
    owner = buffer.triangle.reshape(-1)[outline]
    mine = float(((owner >= first) & (owner < last)).mean())
    return PersonTruth(points, visibility, edges, len(outline) / samples**2, mine)


def keypoint_visibility(
    camera: Camera, buffer: FrameBuffer, keypoints: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return (17,) 0 outside the frame, 1 occluded, 2 visible, by depth test.

    A keypoint is occluded if what the buffer shows there is nearer than the keypoint by more than the flesh
    and cloth that surround it (KEYPOINT_DEPTH_M). Of the 3×3 pixels around it the farthest counts.
    """
    height, width = camera.size
    points, depth = camera.project(keypoints)
    inside = (
        (depth > NEAR_M)
        & (points >= -0.5).all(1)
        & (points[:, 0] < width - 0.5)
        & (points[:, 1] < height - 0.5)
    )
    visibility = np.zeros(len(keypoints), np.int64)
    for index in np.flatnonzero(inside):
        column, row = np.round(points[index]).astype(int)
        around = buffer.inverse_depth[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        limit = 1 / max(depth[index] - KEYPOINT_DEPTH_M[index], NEAR_M)
        visibility[index] = 2 if around.min() <= limit else 1
    return visibility


def expose(
    picture: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    gain: float = 1.0,
    blur: float = 0.0,
    noise: float = 2.0,
) -> NDArray[np.uint8]:
    """Turn a drawn picture (H, W, 3) in [0, 255] into what a sensor would give, uint8.

    gain: exposure. blur: standard deviation of the lens blur, px. noise: standard deviation of the sensor
    noise, grey levels.
    """
    if blur > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32)
    noisy = picture * gain + rng.normal(0, 1, picture.shape).astype(np.float32) * noise
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
