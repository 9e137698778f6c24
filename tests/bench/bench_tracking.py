"""Time of the tracker and what smoothing gains and costs: `python tests/bench/bench_tracking.py`.

The tracker with ten walkers against one filterpy filter per keypoint in the same run; then, for each method,
jitter, error and lag of simulated walkers whose every keypoint is known.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from pathlib import Path

import numpy as np
from filterpy.kalman import KalmanFilter

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.geometry import pose_bbox
from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import Person
from engine.tracking.tracker import Tracker

PEOPLE, CROWD, FRAMES, SCORE = 10, 50, 300, 0.85
LIMB_ENDS = [9, 10, 15, 16]


def make_person(keypoints: np.ndarray) -> Person:
    """Return a person as a decoder would report it."""
    bbox = pose_bbox(keypoints, np.ones(17, bool)).astype(np.float32)
    return Person(keypoints.astype(np.float32), np.full(17, SCORE, np.float32), bbox, SCORE)


def make_frames(people: int, frames: int, fps: float, noise_px: float = 2.5) -> list[list[Person]]:
    """Return walkers side by side, frame after frame."""
    rng = np.random.default_rng(0)
    walkers = [Walker((100.0 + 160 * index, 600.0), 60.0, phase=index) for index in range(people)]
    return [
        [make_person(walker.keypoints(i / fps) + rng.normal(0, noise_px, (17, 2))) for walker in walkers]
        for i in range(frames)
    ]


def time_tracker(frames: list[list[Person]], method: str) -> np.ndarray:
    """Return processor milliseconds of each `Tracker.update` once all are confirmed."""
    tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
    spent = []
    for index, people in enumerate(frames):
        start = time.process_time()
        shown = tracker.update(people, index / 30)
        spent.append(1e3 * (time.process_time() - start))
    assert [person.track_id for person in shown] == list(range(1, len(frames[0]) + 1))
    return np.array(spent[30:])


def time_filterpy(frames: list[list[Person]]) -> np.ndarray:
    """Return milliseconds per frame of one filterpy filter per keypoint, without any matching."""
    filters = []
    for _ in range(len(frames[0]) * 17):
        reference = KalmanFilter(dim_x=4, dim_z=2)
        reference.F = np.kron([[1, 1 / 30], [0, 1]], np.eye(2))
        reference.H, reference.R, reference.Q = np.eye(2, 4), np.eye(2) * 4, np.eye(4)
        filters.append(reference)
    spent = []
    for people in frames:
        measured = np.concatenate([person.keypoints for person in people])
        start = time.perf_counter()
        for reference, point in zip(filters, measured):
            reference.predict()
            reference.update(point)
        spent.append(1e3 * (time.perf_counter() - start))
    return np.array(spent[3:])


def print_times() -> None:
    """Print the time of an update for each method, beside filterpy's."""
    frames = make_frames(PEOPLE, FRAMES, 30)
    plain = float(np.median(time_filterpy(frames[:30])))
    print(f"Tracker.update, {PEOPLE} people x 17 keypoints, {FRAMES} frames, ms")
    print(f"{'':32}{'median':>8}{'min':>8}{'p95':>8}{'ratio':>8}")
    for method in ("kalman", "one-euro", "none"):
        spent = time_tracker(frames, method)
        print(
            f"{'whole update, ' + method:32}{np.median(spent):8.2f}{spent.min():8.2f}"
            f"{np.percentile(spent, 95):8.2f}{np.median(spent) / plain:8.3f}"
        )
    crowd = time_tracker(make_frames(CROWD, FRAMES // 3, 30), "kalman")
    print(
        f"{f'whole update, kalman, {CROWD} people':32}{np.median(crowd):8.2f}{crowd.min():8.2f}"
        f"{np.percentile(crowd, 95):8.2f}"
    )
    print(f"{'filterpy loop, filters alone':32}{plain:8.2f}{'':8}{'':8}{1:8.3f}\n")


def make_noise(shape: tuple[int, ...], noise_px: float, correlation: float) -> np.ndarray:
    """Return noise of `noise_px` per axis, each frame keeping `correlation` of the one before."""
    noise = np.random.default_rng(1).normal(0, noise_px, shape)
    for index in range(1, len(noise)):
        noise[index] = correlation * noise[index - 1] + np.sqrt(1 - correlation**2) * noise[index]
    return noise


def measure_smoothing(method: str, speed: float, fps: float, noise_px: float, correlation: float) -> str:
    """Return a line of jitter, error and lag for one walker 300 px tall."""
    walker, time_s = Walker((300.0, 600.0), speed), np.arange(int(20 * fps)) / fps
    truth = walker.keypoints(time_s)
    raw = truth + make_noise(truth.shape, noise_px, correlation)
    tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
    smoothed = np.full_like(truth, np.nan)
    for index, moment in enumerate(time_s):
        for person in tracker.update([make_person(raw[index])], float(moment)):
            smoothed[index] = person.keypoints
    later = slice(int(fps), None)
    raw, smoothed, truth, time_s = raw[later], smoothed[later], truth[later], time_s[later]
    jitter = rms_jitter(raw, truth), rms_jitter(smoothed, truth)
    error = rms_error(raw, truth), rms_error(smoothed, truth)
    lags = [lag_s(smoothed[:, part], truth[:, part], time_s) * fps for part in (list(range(17)), LIMB_ENDS)]
    return (
        f"{method:10}{fps:5.0f}{speed:7.0f}{noise_px:7.1f}{correlation:6.1f} |"
        f"{jitter[0]:7.2f}{jitter[1]:7.2f}{jitter[1] / jitter[0]:7.2f} |"
        f"{error[0]:7.2f}{error[1]:7.2f}{error[1] / error[0]:7.2f} |"
        f"{lags[0]:7.2f}{lags[1]:7.2f}"
    )


def print_smoothing() -> None:
    """Print jitter, error and lag of every method, at rest, walking and running."""
    print(
        "Smoothing of a walker 300 px tall; jitter and error in px, lag in frames (of all, of hands and feet)"
    )
    print(
        f"{'method':10}{'fps':>5}{'px/s':>7}{'noise':>7}{'corr':>6} |{'raw':>7}{'smooth':>7}{'ratio':>7} |"
        f"{'raw':>7}{'smooth':>7}{'ratio':>7} |{'lag':>7}{'limbs':>7}"
    )
    print(f"{'':35} |{'RMS jitter':^21} |{'RMS error':^21} |")
    for fps, speed, noise_px, correlation in (
        (30.0, 0.0, 2.0, 0.0), (30.0, 0.0, 3.0, 0.0), (30.0, 0.0, 2.5, 0.6), (30.0, 230.0, 2.5, 0.0),
        (30.0, 230.0, 2.5, 0.6), (30.0, 600.0, 2.5, 0.0), (10.0, 230.0, 2.5, 0.0), (60.0, 230.0, 2.5, 0.0),
    ):  # fmt: skip
        for method in ("kalman", "one-euro", "none"):
            print(measure_smoothing(method, speed, fps, noise_px, correlation))


if __name__ == "__main__":
    print_times()
    print_smoothing()
