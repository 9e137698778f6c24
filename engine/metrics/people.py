"""What each person of a recording did: path, speed and angles frame by frame, and all of it summed up.

Angles, places and heights come from keypoints that were seen or filled in between; predicted ones and
outliers are guesses, which make no range of motion and no peak speed. Legend: T frames of one track, K
keypoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.metrics.kinematics import (
    RULER_SHARE,
    body_height_px,
    body_places,
    find_facing,
    path_length,
    range_of_motion,
    speeds,
    stretches,
)
from engine.skeleton import Skeleton
from engine.structures import SEEN_STATES, KeypointState
from engine.tracking.segment_angles import body_angles

Array = NDArray[np.float64]

KNOWN_STATES = (*SEEN_STATES, KeypointState.FILLED)
"""Those whose places are measured with."""
GUESSED_STATES = (KeypointState.PREDICTED, KeypointState.OUTLIER)


@dataclass(frozen=True, slots=True, eq=False)
class PersonMotion:
    """One person through time.

    frames: (T,) positions in the source; times_s: (T,) ascending. seen: (T,) bool, some keypoint was.
    guessed: (T,) bool, none was, but some is predicted. states: (T, K) of `KeypointState`. places: (T, 2) px
    of the middle of the hips, NaN where not known. speeds: (T,) px/s. facing: (T,) 1 the right of the
    picture, -1 the left, NaN not known. angles: name of `BODY_ANGLES` to (T,) degrees.
    height_px: upright, NaN where not known. gap_s: moments further apart are not joined.
    """

    track_id: int
    frames: NDArray[np.int64]
    times_s: Array
    seen: NDArray[np.bool_]
    guessed: NDArray[np.bool_]
    states: NDArray[np.int8]
    places: Array
    speeds: Array
    facing: Array
    angles: Mapping[str, Array]
    height_px: float
    gap_s: float


@dataclass(frozen=True, slots=True)
class PersonSummary:
    """One person summed up; what is not known is NaN.

    frames: in which the person was seen. visible_s: of them, with the usual step after each run. first_s,
    last_s, first_frame, last_frame: seen. distance_px: way of the middle of the hips. mean_speed, peak_speed:
    px/s; the mean over all time in which the way was followed. ranges: angle to least, greatest and
    difference, degrees. measured, filled, predicted, missing: shares of the keypoints of all rows of the
    person; measured holds what looks swapped, predicted holds outliers.
    """

    track_id: int
    frames: int
    visible_s: float
    first_s: float
    last_s: float
    first_frame: int
    last_frame: int
    distance_px: float
    mean_speed: float
    peak_speed: float
    height_px: float
    ranges: Mapping[str, tuple[float, float, float]]
    measured: float
    filled: float
    predicted: float
    missing: float


def measure_person(
    track_id: int,
    frames: ArrayLike,
    times_s: ArrayLike,
    keypoints: ArrayLike,
    states: ArrayLike,
    skeleton: Skeleton,
    *,
    gap_s: float,
    facing: int | None = None,
) -> PersonMotion:
    """Measure one track frame by frame.

    Args:
        track_id: of the person.
        frames: (T,) positions in the source, ascending.
        times_s: (T,) ascending.
        keypoints: (T, K, 2) smoothed frame px, NaN where missing.
        states: (T, K) of `KeypointState`.
        skeleton: of the keypoints.
        gap_s: moments further apart are not joined.
        facing: 1 the right of the picture, -1 the left, where known to the user; None finds it by walking.
    """
    times, state = np.asarray(times_s, np.float64), np.asarray(states, np.int8)
    known = np.where(np.isin(state, KNOWN_STATES)[..., None], np.asarray(keypoints, np.float64), np.nan)
    seen = np.asarray(np.isin(state, SEEN_STATES).any(axis=1), bool)
    places = body_places(known, skeleton)
    if facing is None:
        directions = find_facing(known, times, skeleton, gap_s=gap_s)
    else:
        directions = np.full(times.shape, float(facing))
    return PersonMotion(
        track_id=track_id,
        frames=np.asarray(frames, np.int64),
        times_s=times,
        seen=seen,
        guessed=~seen & np.isin(state, GUESSED_STATES).any(axis=1),
        states=state,
        places=places,
        speeds=speeds(places, times, gap_s=gap_s),
        facing=directions,
        angles=body_angles(known, times, directions, skeleton, gap_s=gap_s),
        height_px=body_height_px(known),
        gap_s=gap_s,
    )


def summarise_person(motion: PersonMotion, *, step_s: float) -> PersonSummary:
    """Sum up one person.

    Args:
        motion: of at least one frame.
        step_s: usual time between frames, for which one is seen; NaN where there is but one frame.
    """
    seen, times = np.flatnonzero(motion.seen), motion.times_s
    runs = list(stretches(motion.seen, times, gap_s=motion.gap_s))
    step = step_s if np.isfinite(step_s) else 0.0
    ruler = RULER_SHARE * motion.height_px if np.isfinite(motion.height_px) else 0.0
    distance, seconds = path_length(motion.places, times, gap_s=motion.gap_s, ruler=ruler)
    moving = motion.speeds[np.isfinite(motion.speeds)]
    placed = np.isfinite(motion.places).all(axis=1).any()
    return PersonSummary(
        track_id=motion.track_id,
        frames=int(seen.size),
        visible_s=float(sum(times[run[-1]] - times[run[0]] + step for run in runs)),
        first_s=float(times[seen[0]]) if seen.size else float("nan"),
        last_s=float(times[seen[-1]]) if seen.size else float("nan"),
        first_frame=int(motion.frames[seen[0] if seen.size else 0]),
        last_frame=int(motion.frames[seen[-1] if seen.size else -1]),
        distance_px=distance if placed else float("nan"),
        mean_speed=distance / seconds if seconds > 0 else float("nan"),
        peak_speed=float(moving.max()) if moving.size else float("nan"),
        height_px=motion.height_px,
        ranges={name: range_of_motion(degrees) for name, degrees in motion.angles.items()},
        measured=_share(motion.states, SEEN_STATES),
        filled=_share(motion.states, (KeypointState.FILLED,)),
        predicted=_share(motion.states, GUESSED_STATES),
        missing=_share(motion.states, (KeypointState.MISSING,)),
    )


def _share(states: NDArray[np.int8], chosen: tuple[KeypointState, ...]) -> float:
    return float(np.isin(states, chosen).mean())
