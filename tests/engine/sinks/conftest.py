"""People and frames to write, and a watch over threads that outlive their test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.results_file import ResultsFile
from engine.sinks.sidecar import Sidecar, SourceRecord, write_sidecar
from engine.skeleton import COCO17, Skeleton
from engine.sources import SourceInfo
from engine.structures import Frame, KeypointState, Result, TrackedPerson

STICK = Skeleton(
    name="stick3",
    keypoints=("head", "hip", "foot"),
    limbs=((0, 1), (1, 2)),
    flip_pairs=(),
    oks_sigmas=(0.1, 0.1, 0.1),
)
SIZE = (96, 128)


def build_person(
    track_id: int = 1, *, x: float = 40.0, states: tuple[int, int, int] = (2, 2, 2)
) -> TrackedPerson:
    """A person of three keypoints under each other, 64 px tall."""
    state = np.array(states, np.int8)
    keypoints = np.array([[x, 16.0], [x + 0.25, 48.0], [x - 0.5, 80.0]], np.float32)
    raw = keypoints + np.float32(0.125)
    raw[state != KeypointState.MEASURED] = np.nan
    keypoints[state == KeypointState.MISSING] = np.nan
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=raw,
        velocity=np.zeros((3, 2), np.float32),
        scores=np.array([0.9, 0.75, 0.5], np.float32),
        state=state,
        bbox=np.array([x - 12, 10, x + 12, 86], np.float32),
        score=0.8125,
        age_s=1.0,
    )


def build_result(
    index: int = 0,
    *people: TrackedPerson,
    time_s: float | None = None,
    size: tuple[int, int] = SIZE,
    wall_time: float | None = None,
    grey: int = 60,
) -> Result:
    """A result on a plain grey frame."""
    image = np.full((*size, 3), grey, np.uint8)
    return Result(Frame(image, index, index / 25 if time_s is None else time_s, wall_time), people)


def build_info(size: tuple[int, int] = SIZE, fps: float | None = 25.0) -> SourceInfo:
    return SourceInfo(name="clip.mp4", path=None, size=size, fps=fps, duration_s=1.2, frame_count=30)


def record_results(
    path: Path,
    skeleton: Skeleton,
    results: Sequence[Result],
    *,
    fps: float | None = 25.0,
    frames_read: int | None = None,
    long: bool = False,
    live: bool = False,
    stills: bool = False,
    keep_empty: bool = False,
) -> ResultsFile:
    """Write results and their sidecar as a run does, and open them."""
    sink = CsvSink(path, skeleton, keep_empty=keep_empty, long=long, wall_time=live)
    for result in results:
        sink.write(result)
    sink.close()
    source = SourceRecord.of(build_info(fps=fps)).model_copy(update={"stills": stills})
    sidecar = Sidecar(
        status="complete",
        software_version="0.1.0",
        source=source,
        frames_read=max((r.frame.index for r in results), default=-1) + 1
        if frames_read is None
        else frames_read,
        frames_dropped=0,
        tracks=len({person.track_id for result in results for person in result.people}),
        most_people=max((len(result.people) for result in results), default=0),
        models=(),
        settings={},
        skeleton=skeleton,
        columns=describe_columns(long=long, wall_time=live),
    )
    write_sidecar(path.with_suffix(".json"), sidecar)
    return ResultsFile.open(path)


def build_walker(
    track_id: int, place: float, *, shift: float = 0.0, missing: tuple[int, ...] = ()
) -> TrackedPerson:
    """A person of COCO's 17 keypoints; keypoint k is at (100 place + k + 0.25, 2 k + 0.5 + shift)."""
    steps = np.arange(17, dtype=np.float32)
    keypoints = np.stack([100 * place + steps + 0.25, 2 * steps + 0.5 + shift], axis=1).astype(np.float32)
    state = np.full(17, KeypointState.MEASURED, np.int8)
    state[list(missing)] = KeypointState.MISSING
    keypoints[list(missing)] = np.nan
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints + np.float32(0.125),
        velocity=np.zeros((17, 2), np.float32),
        scores=np.linspace(0.5, 0.9, 17, dtype=np.float32),
        state=state,
        bbox=np.array([100 * place, shift, 100 * place + 20, 40 + shift], np.float32),
        score=0.75,
        age_s=0.0,
    )


def write_recording(
    folder: Path,
    *results: Result,
    skeleton: Skeleton = STICK,
    name: str = "clip",
    frames: int | None = None,
    raw: bool = False,
    keep_empty: bool = False,
    long: bool = False,
    live: bool = False,
    **changes: Any,
) -> Path:
    """Write results as `track` does, a CSV and its sidecar; return the CSV. changes: of the sidecar."""
    sink = CsvSink(
        folder / f"{name}.csv",
        skeleton,
        raw=raw,
        keep_empty=keep_empty,
        long=long,
        wall_time=live,
        overwrite=True,
    )
    for result in results:
        sink.write(result)
    sink.close()
    last = results[-1].frame.index + 1 if results else 0
    record = {
        "status": "complete",
        "software_version": "0.1.0",
        "source": SourceRecord.of(build_info()),
        "frames_read": last if frames is None else frames,
        "frames_dropped": 0,
        "tracks": len({person.track_id for result in results for person in result.people}),
        "most_people": max((len(result.people) for result in results), default=0),
        "models": (),
        "settings": {},
        "skeleton": skeleton,
        "columns": describe_columns(raw=raw, long=long, wall_time=live),
    }
    write_sidecar(folder / f"{name}.json", Sidecar.model_validate(record | changes))
    return sink.path


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    return write_recording


@pytest.fixture(scope="session")
def make_walker() -> Callable[..., TrackedPerson]:
    return build_walker


@pytest.fixture
def walkers(tmp_path: Path) -> Path:
    """The CSV of two people of COCO17 in four of six frames: both, the first, nobody, both."""
    first, second = build_walker(3, 0.5), build_walker(7, 2, missing=(0, 16))
    later = (build_walker(3, 0.5, shift=4), build_walker(7, 2, shift=4))
    results = (
        build_result(0, first, second),
        build_result(1, first),
        build_result(2),
        build_result(4, *later),
    )
    return write_recording(tmp_path, *results, skeleton=COCO17, frames=6)


@pytest.fixture(scope="session")
def stick() -> Skeleton:
    return STICK


@pytest.fixture(scope="session")
def make_person() -> Callable[..., TrackedPerson]:
    return build_person


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    return build_result


@pytest.fixture(scope="session")
def make_info() -> Callable[..., SourceInfo]:
    return build_info


@pytest.fixture(scope="session")
def record() -> Callable[..., ResultsFile]:
    return record_results


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"threads left behind: {left}"
