"""Random scenes of synthetic people for training, written as a COCO keypoint data set."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.skeleton import COCO17
from train.data.synthetic_backdrops import Backdrops, box_mesh, random_prop, random_prop_material
from train.data.synthetic_bodies import Library
from train.data.synthetic_camera import Camera
from train.data.synthetic_motions import Motion, mirrored
from train.data.synthetic_people import random_figure
from train.data.synthetic_scene import PersonTruth, draw_scene, expose
from train.data.synthetic_shading import Mesh

LONG_SIDE = 512
SAVE_EVERY = 200
OCCLUDED_WEIGHT = 0.3
LEAST_VISIBLE = 0.08
UPRIGHT_MOTIONS = (
    "cmu_walk_a",
    "cmu_walk_b",
    "cmu_gestures",
    "own_idle",
    "own_wave_right",
    "own_arm_positions",
)
SEATED_MOTIONS = (*UPRIGHT_MOTIONS, "own_sit_stand", "cmu_bend_reach", "cmu_wash")
TABLE_CHANCE = 0.5
"""Of a table before the people of a close shot."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shot:
    """How a picture is taken.

    people_chance: of one, two, … people. nearest_m: least distance of anybody. spread: how far from the
    middle they stand, as a share of what is seen. motions: what they do; none for anything at all.
    """

    people_chance: tuple[float, ...]
    nearest_m: float
    spread: float
    motions: tuple[str, ...]


WIDE = Shot((0.22, 0.26, 0.22, 0.15, 0.09, 0.06), 1.2, 0.95, ())
CLOSE = Shot((0.55, 0.3, 0.15), 0.45, 0.6, SEATED_MOTIONS)


def random_camera(rng: np.random.Generator) -> tuple[Camera, float]:
    """Draw a camera at x = z = 0 looking along +Z, and the distance in metres of the people to draw."""
    short = int(rng.integers(320, LONG_SIDE + 1))
    size = (short, LONG_SIDE) if rng.random() < 0.6 else (LONG_SIDE, short)
    focal = float(max(size) / 2 / np.tan(np.radians(rng.uniform(35, 80)) / 2))
    height_px = size[0] * float(np.exp(rng.uniform(np.log(0.28), np.log(1.15))))
    distance = max(1.7 * focal / height_px, 1.4)
    height = float(rng.uniform(1.0, 2.0) if rng.random() < 0.7 else rng.uniform(0.4, 4.0))
    target = rng.uniform(0.7, 1.15)
    pitch = float(np.arctan2(target - height, distance) + rng.normal(0, 0.04))
    roll = float(np.radians(rng.normal(0, 2.5) if rng.random() < 0.85 else rng.normal(0, 15)))
    return Camera((0.0, height, 0.0), 0.0, pitch, roll, focal, size), distance


def close_camera(rng: np.random.Generator) -> tuple[Camera, float]:
    """Draw a camera at arm's length or across a table: heads and upper bodies, as before a webcam."""
    short = int(rng.integers(320, LONG_SIDE + 1))
    size = (short, LONG_SIDE) if rng.random() < 0.7 else (LONG_SIDE, short)
    focal = float(max(size) / 2 / np.tan(np.radians(rng.uniform(40, 80)) / 2))
    seen_m = float(np.exp(rng.uniform(np.log(0.55), np.log(1.4))))
    distance = max(seen_m * focal / size[0], CLOSE.nearest_m + 0.1)
    target = float(rng.uniform(1.05, 1.5))
    height = target + float(rng.uniform(-0.3, 0.4))
    pitch = float(np.arctan2(target - height, distance) + rng.normal(0, 0.05))
    return Camera((0.0, height, 0.0), 0.0, pitch, float(np.radians(rng.normal(0, 4))), focal, size), distance


def random_pose(library: Library, motion: Motion, rng: np.random.Generator) -> tuple[NDArray, int]:
    """Draw a moment of a clip, sometimes with the arms of another clip, the head turned, joints shaken.

    Returns quaternions (B, 4) and the frame.
    """
    frame = int(rng.integers(len(motion)))
    rotation = motion.rotation[frame].copy()
    if rng.random() < 0.35:
        other = _random_motion(library, rng)
        donor = other.rotation[int(rng.integers(len(other)))]
        arms = [
            i
            for i, name in enumerate(library.bones)
            if name.startswith(("clavicle", "shoulder", "upperarm", "lowerarm"))
        ]
        sides = [side for side in (".L", ".R") if rng.random() < 0.75]
        arms = [i for i in arms if library.bones[i][-2:] in sides]
        rotation[arms] = donor[arms]
    bends = {"neck02": 12.0, "head": 14.0, "spine03": 6.0, "upperarm01.L": 10.0, "upperarm01.R": 10.0}
    bends |= {"lowerarm01.L": 8.0, "lowerarm01.R": 8.0}
    for name, degrees in bends.items():
        bone = library.bones.index(name)
        axis = rng.normal(0, np.radians(degrees) / 2, 3)
        rotation[bone] = _product(rotation[bone], np.concatenate([[1.0], axis / 2]))
    return rotation, frame


def _product(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the normalised quaternion product (4,) of two quaternions (w, x, y, z)."""
    scalar = first[0] * second[0] - first[1:] @ second[1:]
    vector = first[0] * second[1:] + second[0] * first[1:] + np.cross(first[1:], second[1:])
    product = np.concatenate([[scalar], vector])
    return product / np.linalg.norm(product)


def _random_motion(library: Library, rng: np.random.Generator, names: Sequence[str] = ()) -> Motion:
    motion = library.motion(str(rng.choice(names or library.motion_names)))
    return mirrored(motion) if rng.random() < 0.5 else motion


def random_person(
    library: Library, rng: np.random.Generator, position: tuple[float, float], motions: Sequence[str] = ()
) -> tuple[Mesh, NDArray[np.float64]]:
    """Draw a person at `position` (x, z) metres, doing anything at all, or one of `motions` to the camera.

    Returns the mesh and keypoints (17, 3) in the world.
    """
    motion = _random_motion(library, rng, motions)
    upright = motion.name.removesuffix("_mirrored") in UPRIGHT_MOTIONS
    figure = random_figure(library, rng, upright=upright)
    rotation, frame = random_pose(library, motion, rng)
    # The camera looks along +Z: facing it means a turn by about pi.
    yaw = (
        np.pi + rng.normal(0, 0.7) if rng.random() < (0.75 if motions else 0.5) else rng.uniform(0, 2 * np.pi)
    )
    height = (
        motion.root[frame, 1] * figure.body.leg_length
        + motion.floor[frame, figure.body_index]
        + figure.raise_m
    )
    return figure.mesh(figure.pose(rotation, np.array([position[0], height, position[1]]), float(yaw)))


def random_places(
    rng: np.random.Generator,
    camera: Camera,
    distance: float,
    count: int,
    *,
    nearest: float = WIDE.nearest_m,
    spread: float = WIDE.spread,
) -> list[tuple[float, float]]:
    """Draw where `count` people stand, (x, z) metres; often one behind another, some cut by the frame."""
    places: list[tuple[float, float]] = []
    half = camera.size[1] / 2 / camera.focal
    for _ in range(60):
        if len(places) == count:
            break
        depth = distance * float(rng.uniform(0.85, 1.0 if not places else 1.7))
        side = float(rng.uniform(-spread, spread)) * half * depth
        if places and rng.random() < 0.45:
            x, z = places[int(rng.integers(len(places)))]
            depth = z + float(rng.choice([-1, 1])) * rng.uniform(0.4, 1.2)
            side = x * depth / z + float(rng.normal(0, 0.3))
        if depth > nearest and all(np.hypot(side - x, depth - z) > 0.4 for x, z in places):
            places.append((side, depth))
    return places


def random_props(rng: np.random.Generator, camera: Camera, places: list[tuple[float, float]]) -> list[Mesh]:
    """Draw solid things: some between the camera and the people, some behind."""
    props = []
    nearest = min(z for _, z in places)
    half = camera.size[1] / 2 / camera.focal
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 3))):
            z = float(rng.uniform(0.5, 0.9) * nearest)
            props.append(random_prop(rng, float(rng.uniform(-1, 1) * half * z), max(z, 1.0)))
    if rng.random() < 0.35:
        farthest = max(z for _, z in places)
        for _ in range(int(rng.integers(1, 4))):
            z = farthest + float(rng.uniform(0.8, 4.0))
            props.append(random_prop(rng, float(rng.uniform(-1, 1) * half * z), z))
    return props


def table(rng: np.random.Generator, nearest: float) -> Mesh:
    """Draw a table, a counter or the back of a seat between the camera and somebody `nearest` metres away."""
    near = float(rng.uniform(0.3, 0.6)) * nearest
    far = nearest - float(rng.uniform(0.12, 0.25))
    height = float(rng.uniform(0.65, 1.15))
    width = float(rng.uniform(0.5, 2.5))
    centre = (float(rng.normal(0, 0.2)), height / 2, (near + far) / 2)
    return box_mesh(centre, (width, height, far - near), float(rng.normal(0, 0.1)), random_prop_material(rng))


def random_scene(
    library: Library, backdrops: Backdrops, rng: np.random.Generator, *, close_ups: float = 0.0
) -> tuple[NDArray[np.uint8], list[PersonTruth]]:
    """Draw one training picture (H, W, 3) uint8 BGR and the truth of everybody in it.

    With probability `close_ups` heads and upper bodies, often behind a table.
    """
    shot = CLOSE if close_ups > 0 and rng.random() < close_ups else WIDE
    camera, distance = close_camera(rng) if shot is CLOSE else random_camera(rng)
    backdrop, light = backdrops.random_view(camera, rng)
    count = 1 + int(rng.choice(len(shot.people_chance), p=shot.people_chance))
    places = random_places(rng, camera, distance, count, nearest=shot.nearest_m, spread=shot.spread)
    people = [random_person(library, rng, place, shot.motions) for place in places]
    props = random_props(rng, camera, places)
    if shot is CLOSE and rng.random() < TABLE_CHANCE:
        props.append(table(rng, min(z for _, z in places)))
    picture, truths = draw_scene(
        camera, backdrop, people, props, light, samples=2, ground_shadow=float(rng.uniform(0.3, 1.0))
    )
    gain, blur, noise = rng.uniform(0.8, 1.2), abs(rng.normal(0, 0.6)), rng.uniform(0.5, 7)
    return expose(picture, rng, gain=float(gain), blur=float(blur), noise=float(noise)), truths


def annotation(truth: PersonTruth, annotation_id: int, image_id: int) -> dict[str, Any] | None:
    """Return the COCO record of a person, or None if practically nothing of them can be seen."""
    visible = truth.visibility == 2
    if truth.bbox is None or truth.visible_fraction < LEAST_VISIBLE or not visible.any():
        return None
    labelled = truth.visibility > 0
    keypoints = np.where(labelled[:, None], truth.keypoints, 0.0)
    x1, y1, x2, y2 = (round(float(value), 2) for value in truth.bbox)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": [
            value
            for (x, y), v in zip(keypoints, truth.visibility)
            for value in (round(float(x), 2), round(float(y), 2), int(v))
        ],
        "num_keypoints": int(labelled.sum()),
        "kp_weight": [1.0 if v == 2 else OCCLUDED_WEIGHT if v == 1 else 0.0 for v in truth.visibility],
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": round(truth.area, 1),
        "visible_fraction": round(truth.visible_fraction, 3),
        "source": "synthetic",
    }


def write_training_set(
    library: Library, backdrops: Backdrops, out_dir: Path, *, count: int, seed: int, close_ups: float = 0.0
) -> Path:
    """Write `count` pictures to out_dir/images and their labels to out_dir/people.json; return the latter.

    The labels are rewritten, at one stroke, after every SAVE_EVERY pictures, so that a part of the set can be
    used while the rest is being drawn. Picture i depends only on `seed` and i.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (out_dir / "images").mkdir(parents=True, exist_ok=True)
    labels = out_dir / "people.json"
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        picture, truths = random_scene(library, backdrops, rng, close_ups=close_ups)
        name = f"synthetic_{number:06d}.jpg"
        cv2.imwrite(
            str(out_dir / "images" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
        )
        height, width = picture.shape[:2]
        images.append(
            {"id": number + 1, "file_name": name, "height": height, "width": width, "source": "synthetic"}
        )
        for truth in truths:
            record = annotation(truth, len(annotations) + 1, number + 1)
            if record is not None:
                annotations.append(record)
        if (number + 1) % SAVE_EVERY == 0 or number + 1 == count:
            _replace_json(labels, images, annotations)
            _log.info("%d of %d pictures, %d people", number + 1, count, len(annotations))
    return labels


def _replace_json(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(COCO17.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in COCO17.limbs],
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    os.replace(part, path)
