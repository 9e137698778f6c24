"""A simulated street: who walks where, who hides whom, what of everybody a camera could see at a moment."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.geometry import pose_bbox
from engine.metrics.walking import Walker
from engine.structures import APPEARANCE_SHAPE

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CAPSULES = (((0, 0), 0.07), ((5, 11), 0.1), ((6, 12), 0.1), ((11, 13), 0.06), ((12, 14), 0.06),
            ((13, 15), 0.05), ((14, 16), 0.05))  # fmt: skip
"""A body as others see it: segments between two keypoints and their radius, in body heights."""
OUTLINE = 0.06
"""A person's box reaches this far beyond the keypoints, body heights."""
BINS_WIDTH = 0.8
"""Spread of a garment's colours over the bins of a descriptor."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One straight part of a way: present from start_s until end_s (not included), as `walker` walks."""

    walker: Walker
    start_s: float = 0.0
    end_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Actor:
    """One person: a way of several legs, with gaps in which the person is not on the stage.

    clothes: numbers of the garments of torso and thighs, see `garment`. nearness: the greater hides the less.
    """

    legs: tuple[Leg, ...]
    clothes: tuple[int, int]
    nearness: float

    def at(self, time_s: float) -> Walker | None:
        """Return how the person walks at a moment, None where absent."""
        return next((leg.walker for leg in self.legs if leg.start_s <= time_s < leg.end_s), None)


@dataclass(frozen=True, slots=True)
class Wall:
    """Something that hides whoever is behind it: xyxy world px, nearer than people of less nearness."""

    bbox: tuple[float, float, float, float]
    nearness: float


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the frame lies in the world: pans at px/s, sways by px over seconds; (height, width) px."""

    size: tuple[int, int] = (720, 1280)
    pan: tuple[float, float] = (0.0, 0.0)
    sway_px: float = 0.0
    sway_s: float = 3.0

    def offset(self, time_s: float) -> Array:
        """Return the (2,) world px of the frame's origin."""
        sway = self.sway_px * np.sin(2 * np.pi * time_s / self.sway_s)
        return np.array([self.pan[0] * time_s + sway, self.pan[1] * time_s + 0.3 * sway])

    def moved(self, before_s: float, now_s: float) -> Array:
        """Return the (2, 3) matrix that takes what rests from its place in one frame to that in a later."""
        shift = self.offset(before_s) - self.offset(now_s)
        return np.concatenate([np.eye(2), shift[:, None]], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """N people on the stage at one moment, in frame px.

    ids: (N,); keypoints: (N, 17, 2); inside: (N, 17) whether in the frame; visible: (N, 17) inside and not
    hidden; boxes: (N, 4) xyxy of the part inside the frame; hiders: (N,) row of the person who hides most of
    somebody, -1 where nobody does; appearance: (N, R, A) `Person.appearance` in perfect light; heights: (N,)
    px.
    """

    ids: NDArray[np.int64]
    keypoints: Array
    inside: Mask
    visible: Mask
    boxes: Array
    hiders: NDArray[np.int64]
    appearance: Array
    heights: Array

    @property
    def countable(self) -> Mask:
        """(N,) who shows at least five keypoints, so that a tracker should have found them."""
        return np.asarray(self.visible.sum(axis=1) >= 5)


@dataclass(frozen=True, slots=True)
class Scene:
    """A named play: actors, walls, the camera, the moments of its frames, and a seed of everything random.

    false_places: (x, y, height) world px where a finder tends to see people who are none.
    """

    name: str
    actors: tuple[Actor, ...]
    times_s: tuple[float, ...]
    walls: tuple[Wall, ...] = ()
    camera: Camera = field(default_factory=Camera)
    false_places: tuple[tuple[float, float, float], ...] = ()
    seed: int = 0

    def truth(self, time_s: float) -> Truth:
        """Return everybody who is at least in part in the frame at a moment."""
        height, width = self.camera.size
        cast = [
            (number, actor, walker)
            for number, actor in enumerate(self.actors, start=1)
            if (walker := actor.at(time_s)) is not None
        ]
        world = np.array([walker.keypoints(time_s) for _, _, walker in cast]).reshape(-1, 17, 2)
        hidden, hiders = self._hide(world, cast)
        points = world - self.camera.offset(time_s)
        inside: Mask = np.all((points >= 0) & (points < [width, height]), axis=-1)
        heights = np.array([walker.height for _, _, walker in cast])
        boxes = np.array([pose_bbox(pose, np.ones(17, bool), 0.0) for pose in points]).reshape(-1, 4)
        boxes += OUTLINE * heights[:, None] * [-1, -1, 1, 1]
        boxes = np.clip(boxes, 0.0, [width, height, width, height])
        here = np.flatnonzero(np.any(inside, axis=1))
        places = {int(row): place for place, row in enumerate(here)}
        return Truth(
            ids=np.array([number for number, _, _ in cast], np.int64)[here],
            keypoints=points[here],
            inside=inside[here],
            visible=(inside & ~hidden)[here],
            boxes=boxes[here],
            hiders=np.array([places.get(int(hider), -1) for hider in hiders[here]], np.int64),
            appearance=np.array([dress(actor.clothes) for _, actor, _ in cast])[here].reshape(
                -1, *APPEARANCE_SHAPE
            ),
            heights=heights[here],
        )

    def _hide(self, world: Array, cast: list[tuple[int, Actor, Walker]]) -> tuple[Mask, NDArray[np.int64]]:
        """Return which keypoints (N, 17) are hidden and who hides most of each person (N,), -1 for nobody."""
        hidden = np.zeros(world.shape[:2], bool)
        hiders = np.full(len(cast), -1, np.int64)
        for row, (_, actor, _) in enumerate(cast):
            most = 0
            for other, (_, near, walker) in enumerate(cast):
                if near.nearness <= actor.nearness:
                    continue
                behind = _inside_body(world[row], world[other], walker.height)
                hidden[row] |= behind
                if behind.sum() > most:
                    most, hiders[row] = int(behind.sum()), other
            for wall in self.walls:
                if wall.nearness > actor.nearness:
                    low, high = np.array(wall.bbox[:2]), np.array(wall.bbox[2:])
                    hidden[row] |= ((world[row] >= low) & (world[row] <= high)).all(axis=-1)
        return hidden, hiders


def dress(clothes: tuple[int, int]) -> Array:
    """Return the `APPEARANCE_SHAPE` descriptor of somebody who wears these garments."""
    return np.stack([garment(number) for number in clothes])


def garment(number: int) -> Array:
    """Return the descriptor of one garment: a lightness and a colour of its own, the same for one number."""
    channels, bins = 3, APPEARANCE_SHAPE[1] // 3
    centres = np.random.default_rng(1000 + number).uniform([0.5, 1.5, 1.5], [6.5, 5.5, 5.5])
    spread = np.exp(-((np.arange(bins) - centres[:, None]) ** 2) / (2 * BINS_WIDTH**2))
    shares = (spread / spread.sum(axis=1, keepdims=True)).reshape(channels * bins)
    return np.asarray(np.sqrt(shares / channels))


def _inside_body(points: Array, pose: Array, height: float) -> Mask:
    """Which of (P, 2) points lie inside the outline of a (17, 2) pose."""
    inside = np.zeros(len(points), bool)
    for (first, last), radius in CAPSULES:
        start, along = pose[first], pose[last] - pose[first]
        share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
        nearest = start + share[:, None] * along
        inside |= ((points - nearest) ** 2).sum(axis=-1) <= (radius * height) ** 2
    return inside
