"""The demo clip: three synthetic people walk, cross and hide each other; with exact keypoints and track ids.

Only bodies, garments and backgrounds under CC0 and motions that are free for all uses are drawn, so that the
clip may be passed on.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from engine.skeleton import COCO17
from train.data.synthetic_backdrops import Backdrops, box_mesh
from train.data.synthetic_bodies import Library
from train.data.synthetic_camera import Camera, view_panorama
from train.data.synthetic_materials import Material, flat, linear, random_complexion, sample_noise
from train.data.synthetic_motions import Motion, joined, looped, mirrored
from train.data.synthetic_people import Figure, Outfit
from train.data.synthetic_scene import PersonTruth, draw_scene, expose
from train.data.synthetic_shading import Light, Mesh, light_from_panorama

SIZE = (720, 1280)
FPS = 30
FRAMES = 360
PANORAMA = "venice_sunset"
PANORAMA_TURN = np.pi
FIELD_OF_VIEW = np.radians(62.0)


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One person of the clip: the figure, a clip of FRAMES frames, where (T, 2) and turned how (T,).

    position: x, z in metres. yaw: radians from +Z towards +X.
    """

    track_id: int
    figure: Figure
    motion: Motion
    position: NDArray[np.float64]
    yaw: NDArray[np.float64]


def oval(length: float, depth: float, travelled: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return points (T, 2) x, z on a stadium-shaped walk around the origin after `travelled` (T,) metres.

    It starts in the middle of the near straight, going towards -x (to the right of a camera that looks along
    +z). length: of the straights, metres. depth: distance between them.
    """
    radius = depth / 2
    arc = np.pi * radius
    s = np.mod(np.asarray(travelled) + length / 2, 2 * length + 2 * arc)
    first, second, third = length, length + arc, 2 * length + arc
    near = np.stack([length / 2 - s, np.full_like(s, -radius)], -1)
    angle = (s - first) / radius
    right = np.stack([-length / 2 - radius * np.sin(angle), -radius * np.cos(angle)], -1)
    far = np.stack([-length / 2 + (s - second), np.full_like(s, radius)], -1)
    angle = (s - third) / radius
    left = np.stack([length / 2 + radius * np.sin(angle), radius * np.cos(angle)], -1)
    part = np.searchsorted([first, second, third], s, side="right")[..., None]
    return np.choose(part, [near, right, far, left])


def walk_along(
    figure: Figure,
    motion: Motion,
    centre: tuple[float, float],
    length: float,
    depth: float,
    start: float,
    *,
    reverse: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lead a walking clip along an oval; returns position (T, 2) metres and yaw (T,) radians.

    The way travelled is the clip's own, so that the feet do not slide on the straights. start: metres along
    the oval at the first frame. reverse: walk it the other way round.
    """
    leg = figure.body.leg_length
    travelled = motion.root[:, 2] * leg
    travelled = travelled - travelled[0] + start
    sway = (motion.root[:, 0] - motion.root[:, 0].mean()) * leg
    mirror = np.array([-1.0, 1.0]) if reverse else np.ones(2)
    here = oval(length, depth, travelled) * mirror
    ahead = (oval(length, depth, travelled + 0.3) - oval(length, depth, travelled - 0.3)) * mirror
    yaw = np.unwrap(np.arctan2(ahead[:, 0], ahead[:, 1]))
    # A person facing +Z sways along x; turned by yaw that is (cos, -sin).
    across = np.stack([np.cos(yaw), -np.sin(yaw)], -1)
    return here + across * sway[:, None] + np.asarray(centre), yaw


def _cloth(
    rgb: tuple[float, float, float], second: tuple[float, float, float], pattern: str, scale: float
) -> Material:
    return Material(linear(rgb), linear(second), pattern, scale=scale, grain=0.06, wrinkle=0.25, gloss=0.03)


def _dressed(
    library: Library, seed: int, body: int, outfit: Outfit, top: Material, bottom: Material, shoe: Material
) -> Figure:
    """Return a figure with chosen clothes and a complexion drawn from `seed`."""
    parameters = json.loads(library.body(body).params)
    african, asian, caucasian = parameters["race"]
    materials = random_complexion(np.random.default_rng(seed), (african, asian, caucasian), parameters["age"])
    sock = flat((0.75, 0.75, 0.75), grain=0.06)
    materials |= {"shirt": top, "trousers": bottom, "foot": sock, "sock": sock}
    materials |= {outfit.top: top, outfit.bottom: bottom, outfit.shoes: shoe}
    materials[outfit.hair] = materials["hair"]
    return Figure(library, body, outfit, materials)


def cast(library: Library, seed: int) -> list[Actor]:
    """Return the three people of the clip."""
    tall = _dressed(
        library, seed, 2, Outfit("longsleeve_m", "trousers_m", "shoes_a", "hair_short_c"),
        _cloth((0.75, 0.16, 0.14), (0.92, 0.88, 0.82), "stripes", 0.06),
        _cloth((0.13, 0.19, 0.33), (0, 0, 0), "plain", 1), flat((0.85, 0.85, 0.83), grain=0.08, gloss=0.1),
    )  # fmt: skip
    quick = _dressed(
        library, seed + 1, 5, Outfit("tshirt_f", "trousers_f", "shoes_b", "hair_bob"),
        _cloth((0.10, 0.50, 0.52), (0.95, 0.8, 0.2), "print", 0.06),
        _cloth((0.62, 0.55, 0.44), (0, 0, 0), "plain", 1), flat((0.35, 0.12, 0.12), grain=0.08, gloss=0.15),
    )  # fmt: skip
    waver = _dressed(
        library, seed + 2, 0, Outfit("shirt_m", "trousers_m", "shoes_c", "hair_short_a"),
        _cloth((0.16, 0.36, 0.20), (0.85, 0.80, 0.60), "checks", 0.035),
        _cloth((0.20, 0.18, 0.17), (0, 0, 0), "plain", 1), flat((0.25, 0.16, 0.10), grain=0.1, gloss=0.15),
    )  # fmt: skip
    slow_walk = looped(library.motion("cmu_walk_a"), FRAMES)
    brisk_walk = looped(library.motion("cmu_walk_b"), FRAMES)
    wave, idle = library.motion("own_wave_right"), library.motion("own_idle")
    standing = joined([wave, library.motion("cmu_gestures"), idle, mirrored(wave)])
    first = walk_along(tall, slow_walk, (0.1, 5.5), 2.3, 2.1, -1.9, reverse=False)
    second = walk_along(quick, brisk_walk, (0.0, 6.2), 2.8, 1.9, -1.8, reverse=True)
    sway = (standing.root[:FRAMES, [0, 2]] - standing.root[0, [0, 2]]) * waver.body.leg_length
    facing = np.pi + 0.15
    turn = np.array([[np.cos(facing), -np.sin(facing)], [np.sin(facing), np.cos(facing)]])
    third = sway @ turn + (0.35, 5.85), np.full(FRAMES, facing)
    return [
        Actor(1, tall, slow_walk, *first),
        Actor(2, quick, brisk_walk, *second),
        Actor(3, waver, standing, *third),
    ]


def camera_at(frame: int) -> Camera:
    """Return the slowly panning camera of a frame."""
    yaw = np.radians(2.5) * np.sin(2 * np.pi * frame / FRAMES)
    focal = SIZE[1] / 2 / np.tan(FIELD_OF_VIEW / 2)
    return Camera((0.0, 1.55, 0.0), float(yaw), -0.075, 0.0, float(focal), SIZE)


def street_furniture() -> list[Mesh]:
    """Return what stands about behind the people."""
    wood = Material(linear((0.42, 0.27, 0.15)), linear((0.32, 0.20, 0.11)), "bars", scale=0.09, grain=0.15)
    iron = flat((0.08, 0.10, 0.10), grain=0.1, gloss=0.15)
    poster = Material(linear((0.50, 0.48, 0.42)), linear((0.30, 0.20, 0.16)), "dots", scale=0.2, grain=0.08)
    green = Material(
        linear((0.10, 0.17, 0.07)),
        linear((0.20, 0.28, 0.12)),
        "camouflage",
        scale=0.02,
        grain=0.5,
        wrinkle=0.5,
    )
    stone = flat((0.55, 0.52, 0.48), grain=0.15)
    pieces = [
        box_mesh((-2.9, 0.45, 9.2), (1.6, 0.06, 0.45), 0.1, wood),
        box_mesh((-2.9, 0.8, 9.45), (1.6, 0.35, 0.05), 0.1, wood),
    ]
    pieces += [box_mesh((x, 0.22, 9.2), (0.06, 0.44, 0.4), 0.1, iron) for x in (-3.6, -2.2)]
    pieces += [
        box_mesh((3.1, 1.1, 9.6), (0.9, 1.5, 0.08), -0.35, poster),
        box_mesh((3.1, 0.2, 9.62), (1.0, 0.4, 0.16), -0.35, iron),
    ]
    for x in (-0.9, 1.1):
        pieces += [
            box_mesh((x, 0.25, 10.2), (0.7, 0.5, 0.7), 0.3, stone),
            box_mesh((x, 0.68, 10.2), (0.62, 0.36, 0.62), 0.3, green),
        ]
    return pieces


def evening_light(panorama: NDArray[np.uint8]) -> Light:
    """Return the light of the clip: the panorama's, low over the viewer's left shoulder."""
    light = light_from_panorama(panorama, PANORAMA_TURN, np.random.default_rng(0))
    towards = np.array([0.55, 0.62, -0.75])
    warm = np.array([0.50, 0.58, 0.66], np.float32)
    return Light(light.ambient * np.float32(0.45), towards / np.linalg.norm(towards), warm)


def draw_frame(
    actors: list[Actor],
    props: list[Mesh],
    panorama: NDArray[np.uint8],
    light: Light,
    frame: int,
    *,
    samples: int = 2,
) -> tuple[NDArray[np.float32], list[PersonTruth]]:
    """Draw one frame of the clip, (H, W, 3) float32 BGR, and where everybody is in it."""
    camera = camera_at(frame)
    backdrop = _paved(view_panorama(panorama, camera, PANORAMA_TURN), camera)
    people = [
        actor.figure.mesh(
            actor.figure.pose_in_clip(
                actor.motion, frame, actor.position[frame].tolist(), float(actor.yaw[frame])
            )
        )
        for actor in actors
    ]
    return draw_scene(camera, backdrop, people, props, light, samples=samples, ground_shadow=0.8)


def _paved(backdrop: NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """Sharpen an enlarged panorama and give the ground a grain that stays where it is."""
    sharp = backdrop.astype(np.float32)
    sharp += 0.7 * (sharp - cv2.GaussianBlur(sharp, (0, 0), 3.0))
    rows, columns = np.mgrid[: camera.size[0], : camera.size[1]]
    ground = camera.ground_points(np.stack([columns, rows], -1).reshape(-1, 2))
    far = ~np.isfinite(ground[:, 0])
    ground[far] = 0
    distance = np.hypot(ground[:, 0], ground[:, 2])
    x, z = ground[:, 0], ground[:, 2]
    rough = 0.5 * sample_noise(1, x * 0.5, z * 0.5) + sample_noise(0, x, z)
    rough *= np.where(far, 0, 0.07 * np.exp(-distance / 9)).astype(np.float32)
    grain = cv2.GaussianBlur(rough.reshape(camera.size), (0, 0), 0.7)
    return np.clip(sharp * (1.18 + grain[..., None]), 0, 255).astype(np.uint8)


def frames(
    library: Library, backdrops: Backdrops, *, seed: int
) -> Iterator[tuple[NDArray[np.uint8], list[Actor], list[PersonTruth]]]:
    """Yield the clip's frames (H, W, 3) uint8 BGR with the actors and their truths."""
    rng = np.random.default_rng(seed)
    panorama = backdrops.named(PANORAMA)
    light = evening_light(panorama)
    actors, props = cast(library, seed), street_furniture()
    for frame in range(FRAMES):
        picture, truths = draw_frame(actors, props, panorama, light, frame)
        yield expose(picture, rng, blur=0.4, noise=1.2), actors, truths


def truth_header() -> list[str]:
    """Return the column names of the truth file."""
    columns = ["frame", "time_s", "track_id", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
    return columns + [f"{name}_{part}" for name in COCO17.keypoints for part in ("x", "y", "visibility")]


def truth_row(frame: int, track_id: int, truth: PersonTruth) -> list[str]:
    """Return one row of the truth file; a person wholly outside the frame has an empty box."""
    box = [""] * 4 if truth.bbox is None else [f"{value:.2f}" for value in truth.bbox]
    row = [str(frame), f"{frame / FPS:.6f}", str(track_id), *box]
    for (x, y), visibility in zip(truth.keypoints, truth.visibility):
        row += [f"{x:.2f}", f"{y:.2f}", str(int(visibility))]
    return row


def write_demo(library: Library, backdrops: Backdrops, out_video: Path, out_csv: Path, *, seed: int) -> None:
    """Draw the clip into an H.264 file and its truth into a CSV file."""
    out_video.parent.mkdir(parents=True, exist_ok=True)
    out_csv.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(out_video), "w") as container, open(out_csv, "w", newline="", encoding="utf-8") as file:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": "20", "preset": "slow", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        stream.codec_context.gop_size = FPS
        stream.time_base = Fraction(1, FPS)
        writer = csv.writer(file)
        writer.writerow(truth_header())
        for index, (picture, actors, truths) in enumerate(frames(library, backdrops, seed=seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
            for actor, truth in zip(actors, truths):
                writer.writerow(truth_row(index, actor.track_id, truth))
        container.mux(stream.encode())
