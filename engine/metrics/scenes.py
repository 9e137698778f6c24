"""Synthetic scenes with exact truth on which a tracker is measured: crossings, hiding, few or lost frames.

Detections are played (`simulated_estimator`), so that a scene takes seconds, is the same each time, and says
of the tracker alone what a clip says of everything together.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from engine.metrics.mot import MotFigures, MotMeter
from engine.metrics.simulated_estimator import SimulatedEstimator
from engine.metrics.stage import Actor, Camera, Leg, Scene, Truth, Wall
from engine.metrics.walking import Walker
from engine.settings import EstimatorSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import TrackedPerson
from engine.tracking.oks import oks_matrix
from engine.tracking.tracker import Tracker

FPS = 30.0
FIND_INTERVAL_S = 0.2
MIN_OKS = 0.5
FALSE_PLACES = ((180.0, 420.0, 160.0), (1120.0, 380.0, 140.0))


def crossing_scene(seed: int = 0) -> Scene:
    """Eight people cross within 12 s, four each way, each before or behind the four who come towards them.

    Two at a time wear the same trousers. Who walks the same way keeps apart, more or less.
    """
    random = np.random.default_rng(seed)
    actors = []
    for index in range(8):
        direction = 1.0 if index % 2 == 0 else -1.0
        speed = direction * random.uniform(105, 135)
        ground = 560.0 + 18.0 * index
        middle = 640.0 + 190.0 * (index // 2 - 1.5) + random.uniform(-30, 30)
        walker = Walker((middle - 6.0 * speed, ground), speed, ground * 0.46, random.uniform(0, 6))
        actors.append(Actor((Leg(walker),), (index, 20 + index // 2), ground))
    return Scene("crossing", tuple(actors), _times(12.0), false_places=FALSE_PLACES, seed=seed)


def occlusion_scene(seed: int = 0) -> Scene:
    """Five people walk past behind a wall that hides each for about 2 s; some meet behind it."""
    random = np.random.default_rng(seed)
    actors = []
    for index, (speed, at_s) in enumerate(
        ((140.0, 4.0), (-130.0, 4.6), (135.0, 7.0), (-145.0, 7.5), (120.0, 8.5))
    ):
        ground = 610.0 + 8.0 * index
        walker = Walker((640.0 - speed * at_s, ground), speed, 275.0, random.uniform(0, 6))
        actors.append(Actor((Leg(walker),), (30 + index, 20 + index % 3), ground))
    walls = (Wall((495.0, 150.0, 785.0, 720.0), 1000.0),)
    return Scene("occlusion", tuple(actors), _times(13.0), walls, false_places=FALSE_PLACES, seed=seed)


def slow_scene(seed: int = 0) -> Scene:
    """The crossing at 10 frames/s with six people."""
    scene = crossing_scene(seed)
    return replace(scene, name="slow", actors=scene.actors[:6], times_s=_times(12.0, 10.0))


def dropped_scene(seed: int = 0) -> Scene:
    """The crossing with six people, four of ten frames dropped, and half a second lost twice."""
    scene = crossing_scene(seed)
    random = np.random.default_rng(seed)
    kept = tuple(
        time_s
        for time_s in scene.times_s
        if random.uniform() > 0.4 and not any(gap <= time_s < gap + 0.5 for gap in (4.0, 8.0))
    )
    return replace(scene, name="dropped", actors=scene.actors[:6], times_s=kept)


def border_scene(seed: int = 0) -> Scene:
    """Two leave through the borders and come back after 1.5 s and 4 s; two strangers come in meanwhile."""

    def leg(x: float, at_s: float, speed: float, start_s: float, end_s: float, ground: float) -> Leg:
        return Leg(Walker((x - speed * at_s, ground), speed, 280.0, at_s), start_s, end_s)

    actors = (
        Actor((leg(1330, 4.0, 160, 0, 4.0, 620), leg(1330, 5.5, -160, 5.5, 99, 620)), (40, 20), 620),
        Actor((leg(-50, 3.0, -150, 0, 3.0, 640), leg(-50, 7.0, 150, 7.0, 99, 640)), (41, 21), 640),
        Actor((leg(1330, 7.0, -140, 7.0, 99, 650),), (42, 22), 650),
        Actor((leg(-50, 4.5, 170, 4.5, 99, 600),), (43, 23), 600),
        Actor((Leg(Walker((640.0, 590.0), 0.0, 270.0)),), (44, 20), 590),
    )
    return Scene("border", actors, _times(12.0), false_places=FALSE_PLACES, seed=seed)


def camera_scene(seed: int = 0) -> Scene:
    """Four people, two of them standing, before a camera that pans and sways by up to 500 px/s."""
    actors = tuple(
        Actor((Leg(Walker((x, ground), speed, 270.0, phase)),), (50 + index, 20 + index // 2), ground)
        for index, (x, ground, speed, phase) in enumerate(
            (
                (500.0, 600.0, 0.0, 0.0),
                (300.0, 630.0, 130.0, 1.0),
                (1100.0, 615.0, -60.0, 2.0),
                (800.0, 585.0, 0.0, 3.0),
            )
        )
    )
    camera = Camera(pan=(25.0, 0.0), sway_px=220.0, sway_s=3.0)
    return Scene("camera", actors, _times(9.0), camera=camera, false_places=FALSE_PLACES, seed=seed)


SCENES: dict[str, Callable[[int], Scene]] = {
    "crossing": crossing_scene,
    "occlusion": occlusion_scene,
    "slow": slow_scene,
    "dropped": dropped_scene,
    "border": border_scene,
    "camera": camera_scene,
}


def play(
    scene: Scene, settings: TrackerSettings | None = None, *, estimator: EstimatorSettings | None = None
) -> MotFigures:
    """Track a scene and return how well identities held.

    Who shows fewer than five keypoints is no miss; who was found all the same is no false positive.

    Args:
        scene: what is played.
        settings: of the tracker; with `camera_motion` it is told the camera's true motion.
        estimator: of the played estimator; finds every 0.2 s by default.

    Raises:
        UsageError: motmetrics is not installed.
    """
    settings = settings or TrackerSettings()
    tracker, meter = Tracker(settings, COCO17), MotMeter(COCO17)
    source = SimulatedEstimator(scene, estimator or EstimatorSettings(find_interval_s=FIND_INTERVAL_S))
    before_s = scene.times_s[0]
    for time_s in scene.times_s:
        truth = scene.truth(time_s)
        camera = scene.camera.moved(before_s, time_s) if settings.camera_motion else None
        reports = source.report(truth, time_s, tracker.predict(time_s, camera=camera))
        people = tracker.update(reports, time_s, camera=camera, frame_size=scene.camera.size)
        before_s = time_s
        counted = truth.countable | _found(truth, people)
        meter.add(
            truth.ids[counted].tolist(),
            truth.keypoints[counted],
            truth.inside[counted],
            truth.boxes[counted],
            people,
        )
    return meter.figures()


def _found(truth: Truth, people: list[TrackedPerson]) -> np.ndarray:
    """(N,) who of the truth is matched by a tracked person, hidden or not."""
    found = np.zeros(len(truth.ids), bool)
    if not people or not len(found):
        return found
    areas = np.maximum(truth.boxes[:, 2:] - truth.boxes[:, :2], 0).prod(axis=1)
    tracked = np.array([person.keypoints for person in people])
    oks = oks_matrix(truth.keypoints, tracked, COCO17.sigmas, areas, truth.inside)
    rows, columns = linear_sum_assignment(-np.where(oks >= MIN_OKS, oks, 0.0))
    found[rows] = oks[rows, columns] >= MIN_OKS
    return found


def _times(length_s: float, fps: float = FPS) -> tuple[float, ...]:
    return tuple(float(time_s) for time_s in np.arange(round(length_s * fps)) / fps)
