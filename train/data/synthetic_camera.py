"""The camera of a synthetic scene: pinhole projection and its view of an equirectangular panorama.

World: metres, right-handed, +Y up, the ground is y = 0. Pixels: origin at the centre of the top-left pixel.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR_M = 0.2


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera without distortion.

    position: metres, world. yaw: turn of the viewing axis from +Z towards +X, radians; pitch: upwards,
    radians; roll: turn of the camera about its axis, radians. focal: pixels. size: (height, width).
    """

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    focal: float
    size: tuple[int, int]

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) world to camera; camera axes are x right, y down, z along the view."""
        sin_yaw, cos_yaw = np.sin(self.yaw), np.cos(self.yaw)
        sin_pitch, cos_pitch = np.sin(self.pitch), np.cos(self.pitch)
        forward = np.array([sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch])
        # Looking along +Z with +Y up in a right-handed world, +X is on the left.
        right = np.array([-cos_yaw, 0.0, sin_yaw])
        down = np.cross(forward, right)
        sin_roll, cos_roll = np.sin(self.roll), np.cos(self.roll)
        turned_right = cos_roll * right - sin_roll * down
        turned_down = sin_roll * right + cos_roll * down
        return np.stack([turned_right, turned_down, forward])

    @property
    def centre(self) -> tuple[float, float]:
        """Principal point (x, y) in pixels: the middle of the picture."""
        return (self.size[1] - 1) / 2, (self.size[0] - 1) / 2

    def scaled(self, factor: int) -> "Camera":
        """Return the same view with `factor` times as many pixels each way."""
        return replace(self, focal=self.focal * factor, size=(self.size[0] * factor, self.size[1] * factor))

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project world points (V, 3) to pixels (V, 2) and depth along the view (V,) in metres.

        Points nearer than NEAR_M, or behind, get the depth they have and meaningless pixels.
        """
        local = (np.asarray(points, np.float64) - self.position) @ self.rotation.T
        depth = local[:, 2]
        safe = np.where(depth > NEAR_M, depth, NEAR_M)
        return self.focal * local[:, :2] / safe[:, None] + self.centre, depth

    def rays(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return unit directions (N, 3) in the world through pixels (N, 2)."""
        flat = (np.asarray(pixels, np.float64) - self.centre) / self.focal
        local = np.concatenate([flat, np.ones((len(flat), 1))], 1)
        world = local @ self.rotation
        return world / np.linalg.norm(world, axis=1, keepdims=True)

    def ground_points(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the points (N, 3) of the ground y = 0 seen at pixels (N, 2); NaN above the horizon.

        Points farther than 200 m are NaN too.
        """
        rays = self.rays(pixels)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = -self.position[1] / rays[:, 1]
        distance[~((distance > 0) & (distance < 200))] = np.nan
        return rays * distance[:, None] + self.position


def view_panorama(panorama: NDArray[np.uint8], camera: Camera, turn: float = 0.0) -> NDArray[np.uint8]:
    """Return what `camera` sees of an equirectangular panorama, (H, W, 3) uint8.

    Args:
        panorama: (h, 2h, 3); the middle column lies in direction +Z and the picture is seen from inside.
        camera: its position does not matter, the panorama is infinitely far away.
        turn: turns the panorama about the vertical, radians.
    """
    height, width = camera.size
    # Directions change slowly: work them out on every fourth pixel and interpolate between.
    rows, columns = (height + 7) // 4 + 1, (width + 7) // 4 + 1
    grid = np.stack(np.meshgrid(np.arange(columns) * 4.0, np.arange(rows) * 4.0), -1).reshape(-1, 2)
    rays = camera.rays(grid)
    source_height, source_width = panorama.shape[:2]
    # atan2 falls towards the right of the picture, since +X is on the left of +Z.
    angle = np.unwrap(np.arctan2(-rays[:, 0], rays[:, 2]).reshape(rows, columns), axis=1)
    angle = np.unwrap(angle, axis=0)
    u = (angle + turn) / (2 * np.pi) * source_width
    v = (0.5 - np.arcsin(np.clip(rays[:, 1], -1, 1)).reshape(rows, columns) / np.pi) * source_height - 0.5
    u, v = (_enlarge(plane.astype(np.float32), (height, width)) for plane in (u, v))
    u = np.mod(u + source_width / 2 - 0.5, source_width).astype(np.float32)
    padded = cv2.copyMakeBorder(panorama, 0, 0, 0, 2, cv2.BORDER_WRAP)
    return np.asarray(cv2.remap(padded, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _enlarge(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate a plane sampled on every fourth pixel (from pixel 0) to `size` (height, width)."""
    matrix = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    enlarged = cv2.warpAffine(
        plane,
        matrix,
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(enlarged, np.float32)
