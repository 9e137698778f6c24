"""What every way of smoothing gains and costs: jitter at rest, error against the truth, lag.

On simulated walkers with errors like the networks' and on the demo clip, both with exact truth. Every choice
sees the same people: the networks run once over the clip.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from app.bench.files import check_writable, write_json
from app.console import say
from app.machine import describe_machine, machine_line
from app.tables import text_table
from app.truth import TruePerson, TruthMatcher
from app.truth_files import read_truth
from assets import demo_clip, demo_truth
from engine.geometry import pose_bbox
from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.network_noise import add_network_noise
from engine.metrics.walking import Walker
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, SmoothingSettings, TrackerSettings, TrackSettings
from engine.skeleton import COCO17, Skeleton
from engine.smoothing_scale import smoothing_at
from engine.sources import open_source
from engine.structures import Frame, KeypointState, Person, Result
from engine.tracking.offline import smooth_offline
from engine.tracking.recorded import ResultRecorder, smoothed_results
from engine.tracking.tracker import Tracker

Array = NDArray[np.float64]
Truth = dict[int, list[TruePerson]]

REST_SPEED = 0.3
"""A keypoint is at rest while it truly moves slower than this, person sizes per second."""
FPS, SECONDS = 30.0, 40.0
"""Of the simulated walkers."""
SWAP_PAIRS = ((13, 14), (15, 16))
"""What the simulated network exchanges: knees and ankles."""
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Choice:
    """One way of smoothing."""

    name: str
    settings: SmoothingSettings
    offline: bool = False


@dataclass(frozen=True, slots=True)
class SmoothingRow:
    """What one choice does to the keypoints that the network saw.

    Jitter and error are RMS px, jitter_share is jitter at rest over that of the raw keypoints, median_share
    the same of medians, in which the few that leap have no say, median_px the median error, lag in frames
    behind the raw keypoints; NaN where nothing can be said.
    """

    choice: str
    rest_jitter_px: float
    jitter_share: float
    median_share: float
    jitter_px: float
    error_px: float
    median_px: float
    lag_frames: float


def choices(base: SmoothingSettings) -> list[Choice]:
    """Return every method, the ends of the Steady–Fast scale, and the second pass; raw keypoints first."""
    kalman = base.model_copy(update={"method": "kalman"})
    one_euro = base.model_copy(update={"method": "one-euro"})
    return [
        Choice("none", base.model_copy(update={"method": "none"})),
        Choice("one-euro", one_euro),
        Choice("one-euro, steady", smoothing_at(0.0, one_euro)),
        Choice("one-euro, fast", smoothing_at(1.0, one_euro)),
        Choice("kalman", kalman),
        Choice("kalman, steady", smoothing_at(0.0, kalman)),
        Choice("kalman, fast", smoothing_at(1.0, kalman)),
        Choice("kalman, offline", kalman, offline=True),
    ]


def run_smoothing_bench(
    settings: EstimatorSettings,
    *,
    json_path: Path | None,
    console: Console,
    base: SmoothingSettings | None = None,
) -> None:
    """Measure every choice on simulated walkers and on the demo clip and print two tables.

    Args:
        settings: how people are found on the clip.
        json_path: also write the numbers there.
        console: where it says what is being measured.
        base: constants of the methods; None takes the defaults.

    Raises:
        SourceError: the clip or its truth is missing.
        ModelFileError: a model is missing.
        UsageError: the JSON file cannot be written.
    """
    if json_path:
        check_writable(json_path)
    base = base or SmoothingSettings()
    say(machine_line())
    console.print("simulating walkers …")
    seen, truth = simulate_walkers()
    simulated = measure_choices(seen, choices(base), COCO17, truth)
    say(f"\nsimulated walkers, {FPS:.0f} frames/s\n" + smoothing_table(simulated))
    console.print("following the people of the demo clip …")
    found = find_people(demo_clip(), settings)
    measured = measure_choices(found, choices(base), COCO17, read_truth(demo_truth(), COCO17))
    say("\ndemo clip\n" + smoothing_table(measured))
    if json_path:
        rows = {"simulated": simulated, "demo": measured}
        numbers = {name: [_plain(row) for row in table] for name, table in rows.items()}
        write_json(json_path, {"machine": describe_machine(), **numbers})


def smoothing_table(rows: Sequence[SmoothingRow]) -> str:
    """Return the rows as a table."""
    headers = (
        "smoothing",
        "jitter at rest px",
        "share",
        "median share",
        "jitter px",
        "error px",
        "median px",
        "lag frames",
    )
    return text_table(
        headers, [(row.choice, *(_number(v) for v in list(asdict(row).values())[1:])) for row in rows]
    )


def measure_choices(
    people: Sequence[tuple[float, Sequence[Person]]],
    wanted: Sequence[Choice],
    skeleton: Skeleton,
    truth: Truth | None = None,
) -> list[SmoothingRow]:
    """Follow the same people with every choice and compare.

    Only keypoints count that every choice shows, that the network saw in the frame, that are not flagged as
    swapped and, with a truth, truly visible.

    Args:
        people: seconds and people of every frame.
        wanted: the first one is what the others are compared with: raw keypoints.
        skeleton: of the people.
        truth: frame to true people; without it jitter is about a short trend, and there is neither error nor
            lag.
    """
    paths, seen, true, sizes = [], None, None, None
    for choice in wanted:
        results = follow(people, choice, skeleton)
        shown, raw_seen, true, sizes = align(results, skeleton, truth)
        usable = np.isfinite(shown).all(axis=-1) & raw_seen
        seen = usable if seen is None else seen & usable
        paths.append(shown)
    assert seen is not None
    time_s = np.array([moment for moment, _ in people])
    shown_paths = [np.where(seen[..., None], path, np.nan) for path in paths]
    return list(_compare(wanted, shown_paths, true, sizes, time_s))


def follow(
    people: Sequence[tuple[float, Sequence[Person]]], choice: Choice, skeleton: Skeleton
) -> list[Result]:
    """Return the results of a tracker that sees these people, after the second pass where it is asked for."""
    tracker, recorder = Tracker(TrackerSettings(smoothing=choice.settings), skeleton), ResultRecorder()
    results, image = [], np.zeros((0, 0, 3), np.uint8)
    for index, (time_s, there) in enumerate(people):
        results.append(Result(Frame(image, index, time_s), tuple(tracker.update(there, time_s))))
        recorder.add(results[-1])
    if not choice.offline:
        return results
    recording = recorder.finish()
    return list(smoothed_results(recording, smooth_offline(recording, choice.settings, skeleton)))


def align(
    results: Sequence[Result], skeleton: Skeleton, truth: Truth | None
) -> tuple[Array, NDArray[np.bool_], Array | None, Array | None]:
    """Return paths (T, N, 2) of N keypoints, which were seen (T, N), true paths and sizes (T, N).

    Without a truth the paths are those of the track ids and there are neither true paths nor sizes.
    """
    if truth is None:
        names = sorted({person.track_id for result in results for person in result.people})
    else:
        names = sorted({person.track_id for people in truth.values() for person in people})
    shape = (len(results), len(names), skeleton.count)
    shown, true, sizes = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    seen = np.zeros(shape, bool)
    matcher = TruthMatcher(truth, skeleton) if truth is not None else None
    for index, result in enumerate(results):
        people = {person.track_id: person for person in result.people}
        if matcher and truth is not None:
            people = matcher.add(index, result.people)
            for one in truth.get(index, []):
                place = names.index(one.track_id)
                true[index, place] = np.where(one.visibility[:, None] == 2, one.keypoints, np.nan)
                sizes[index, place] = np.sqrt(np.prod(one.bbox[2:] - one.bbox[:2]))
        for name, person in people.items():
            place = names.index(name)
            shown[index, place] = person.keypoints
            seen[index, place] = np.isfinite(person.raw_keypoints).all(axis=-1)
            seen[index, place] &= (person.state != KeypointState.SWAPPED) & (person.scores > 0)
    flat = (len(results), -1)
    if truth is None:
        return shown.reshape(*flat, 2), seen.reshape(flat), None, None
    seen &= np.isfinite(true).all(axis=-1)
    return shown.reshape(*flat, 2), seen.reshape(flat), true.reshape(*flat, 2), sizes.reshape(flat)


def _compare(
    wanted: Sequence[Choice], paths: Sequence[Array], true: Array | None, sizes: Array | None, time_s: Array
) -> Iterator[SmoothingRow]:
    resting = list(paths)
    if true is not None and sizes is not None:
        speed = np.linalg.norm(np.gradient(true, time_s, axis=0), axis=-1) / sizes
        resting = [np.where((speed < REST_SPEED)[..., None], path, np.nan) for path in paths]
    raw_jitter, raw_lag = rms_jitter(resting[0], true), _lag_frames(paths[0], true, time_s)
    for choice, path, rest in zip(wanted, paths, resting, strict=True):
        jitter, error, median = rms_jitter(rest, true), NAN, NAN
        if true is not None:
            error = rms_error(path, true)
            median = float(np.nanmedian(np.linalg.norm(path - true, axis=-1)))
        lag = _lag_frames(path, true, time_s) - raw_lag
        share = jitter / raw_jitter if raw_jitter > 0 else NAN
        median_share = _median_jitter(rest, true) / _median_jitter(resting[0], true)
        yield SmoothingRow(
            choice.name, jitter, share, median_share, rms_jitter(path, true), error, median, lag
        )


def _median_jitter(path: Array, true: Array | None) -> float:
    """Return the median length of the second difference of the error, px; NaN without a truth."""
    if true is None:
        return NAN
    error = path - true
    return float(np.nanmedian(np.linalg.norm(error[2:] - 2 * error[1:-1] + error[:-2], axis=-1)))


def _lag_frames(path: Array, true: Array | None, time_s: Array) -> float:
    return NAN if true is None else lag_s(path, true, time_s) / float(np.median(np.diff(time_s)))


def find_people(clip: Path, settings: EstimatorSettings) -> list[tuple[float, list[Person]]]:
    """Return seconds and people, as decoded, of every frame of a clip: those that a tracker has followed.

    Mode `auto` becomes `top-down`: what it would choose depends on how fast the machine is at the moment.
    """
    if settings.mode == "auto":
        settings = settings.model_copy(update={"mode": "top-down"})
    found = []
    plain = TrackerSettings(smoothing=SmoothingSettings(method="none"))
    with (
        closing(Pipeline(TrackSettings(estimator=settings, tracker=plain))) as pipeline,
        open_source(clip) as source,
    ):
        for result in pipeline.run(source):
            people = [
                Person(person.raw_keypoints, person.scores, _box(person.raw_keypoints), person.score)
                for person in result.people
                if np.isfinite(person.raw_keypoints).all(axis=-1).any()
            ]
            found.append((result.frame.time_s, people))
    return found


def simulate_walkers() -> tuple[list[tuple[float, list[Person]]], Truth]:
    """Return what a network might see of four people, one standing, three walking, and the truth."""
    time_s, random = np.arange(round(FPS * SECONDS)) / FPS, np.random.default_rng(11)
    walkers = [
        Walker((500.0, 600.0), 0.0, 300.0), Walker((0.0, 1100.0), 60.0, 320.0, 1.0),
        Walker((200.0, 1600.0), 230.0, 300.0, 2.0), Walker((9000.0, 2100.0), -170.0, 240.0, 3.0),
    ]  # fmt: skip
    frames: list[tuple[float, list[Person]]] = [(float(moment), []) for moment in time_s]
    truth: Truth = {index: [] for index in range(len(time_s))}
    for number, walker in enumerate(walkers, start=1):
        true = walker.keypoints(time_s)
        boxes = np.array([_box(pose) for pose in true])
        size = float(np.median(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))))
        noisy = add_network_noise(true, time_s, size, random, swap_pairs=SWAP_PAIRS if walker.speed else ())
        for index, (points, scores) in enumerate(zip(noisy.keypoints, noisy.scores)):
            box = pose_bbox(points, scores > 0.1).astype(np.float32)
            person = Person(points.astype(np.float32), scores.astype(np.float32), box, float(scores.mean()))
            frames[index][1].append(person)
            pose = true[index].astype(np.float32)
            truth[index].append(TruePerson(number, pose, np.full(len(pose), 2), boxes[index]))
    return frames, truth


def _box(keypoints: NDArray[np.floating]) -> NDArray[np.float32]:
    return pose_bbox(keypoints, np.isfinite(keypoints).all(axis=-1)).astype(np.float32)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""


def _plain(row: SmoothingRow) -> dict[str, object]:
    values = asdict(row)
    return {
        name: (round(value, 4) if np.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in values.items()
    }
