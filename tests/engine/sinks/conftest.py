"""People and frames to write, and a watch over threads that outlive their test."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.skeleton import Skeleton
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


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"threads left behind: {left}"
