"""Errors like those of a pose network, laid on exact truth: they last, follow the score, leap and swap sides.

The figures are those of the bundled networks on the demo clip, whose truth is exact. Errors within a tenth of
a person's size correlate by 0.80 from one frame to the next, 0.62 after three and 0.39 after ten, at 30
frames per second: a fifth of their variance is white, the rest fades with a time constant of 0.46 s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEVIATION = 0.02
"""Of an error along each axis at score 1, person sizes; inversely proportional to the score."""
WHITE_SHARE, FADE_S = 0.2, 0.46
"""Share of the variance that is new in every frame, and the time constant of the rest."""
MEAN_SCORE, SCORE_DEVIATION, SCORE_FADE_S = 0.65, 0.12, 0.3
LEAPS_PER_S, LEAP_S, LEAP_SIZES = 0.15, 0.1, 0.35
"""How often a keypoint leaps off, how long it stays away, and how far."""
SWAPS_PER_S, SWAP_S = 0.1, 0.12
"""How often a pair of knees or ankles changes sides, and for how long."""
UNSEEN_PER_S, UNSEEN_S = 0.15, 0.25
"""How often a keypoint is not seen, and for how long."""


@dataclass(frozen=True, slots=True, eq=False)
class Noisy:
    """What a network might see: keypoints (T, K, 2) px, scores (T, K) in [0, 1], 0.05 where unseen.

    swapped: (T, K) where left and right were exchanged.
    """

    keypoints: Array
    scores: Array
    swapped: NDArray[np.bool_]


def add_network_noise(
    truth: Array,
    time_s: Array,
    size: float,
    random: np.random.Generator,
    *,
    swap_pairs: tuple[tuple[int, int], ...] = (),
) -> Noisy:
    """Lay errors on true keypoints.

    Args:
        truth: (T, K, 2) px.
        time_s: (T,) strictly increasing seconds.
        size: of the person, the square root of the area of the box, px.
        random: where chance comes from.
        swap_pairs: pairs of keypoints that are exchanged now and then.
    """
    shape = truth.shape[:2]
    step = float(np.median(np.diff(time_s)))
    scores = MEAN_SCORE + SCORE_DEVIATION * _fading(shape, step, SCORE_FADE_S, random)
    scores = np.clip(scores, 0.3, 0.95)
    errors = np.sqrt(WHITE_SHARE) * random.normal(size=truth.shape)
    errors += np.sqrt(1 - WHITE_SHARE) * _fading(truth.shape, step, FADE_S, random)
    keypoints = truth + errors * (DEVIATION * size / scores)[..., None]
    for frames, keypoint in _spells(shape, step, LEAPS_PER_S, LEAP_S, random):
        angle = random.uniform(0, 2 * np.pi)
        keypoints[frames, keypoint] += LEAP_SIZES * size * np.array([np.cos(angle), np.sin(angle)])
        scores[frames, keypoint] = np.minimum(scores[frames, keypoint], 0.5)
    swapped = np.zeros(shape, bool)
    for frames, number in _spells((shape[0], len(swap_pairs)), step, SWAPS_PER_S, SWAP_S, random):
        pair = list(swap_pairs[number])
        keypoints[frames, pair] = keypoints[frames, pair[::-1]]
        swapped[frames, pair] = True
    for frames, keypoint in _spells(shape, step, UNSEEN_PER_S, UNSEEN_S, random):
        scores[frames, keypoint] = 0.05
    return Noisy(keypoints, scores, swapped)


def _fading(shape: tuple[int, ...], step: float, fade_s: float, random: np.random.Generator) -> Array:
    """Return numbers of deviation 1 that forget themselves with a time constant along the first axis."""
    numbers, keep = random.normal(size=shape), float(np.exp(-step / fade_s))
    for index in range(1, shape[0]):
        numbers[index] = keep * numbers[index - 1] + np.sqrt(1 - keep**2) * numbers[index]
    return numbers


def _spells(
    shape: tuple[int, int], step: float, per_s: float, length_s: float, random: np.random.Generator
) -> list[tuple[slice, int]]:
    """Return the frames of spells that begin by chance and last by chance, and of what."""
    begins = np.argwhere(random.uniform(size=shape) < per_s * step)
    lengths = 1 + random.poisson(max(length_s / step - 1, 0.0), len(begins))
    return [(slice(int(begin), int(begin + length)), int(k)) for (begin, k), length in zip(begins, lengths)]
