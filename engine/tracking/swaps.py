"""Left and right exchanged: pairs of measurements that fit each other's predictions, not their own.

Networks confuse the legs of somebody seen from the side, and the whole body of somebody seen from behind. A
swap is flagged and never mended: the file shows what was measured. The filters use each of the two
measurements for the keypoint whose path it continues, so that neither is led astray.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

BETTER = 40.0
"""How much better two exchanged measurements must fit. Half of it is the logarithm of how much likelier the
pair gets; so much is asked for since real errors have longer tails than the normal distribution: on the demo
clip 19 of 22 flags are true, at 18.5 half of them."""
FIT = 18.5
"""What the squared normalised distances of the exchanged pair may sum up to: two points of two coordinates
that are where they are expected stay below this 999 times in 1000 (chi-square, 4 degrees of freedom)."""


def partners(keypoints: int, flip_pairs: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Return (K,) the index of each keypoint on the other side of the body; its own where there is none."""
    other = np.arange(keypoints)
    for left, right in flip_pairs:
        other[left], other[right] = right, left
    return other


def find_swaps(
    expected: Array, spread: Array, measured: Array, variance: Array, known: Mask, partner: NDArray[np.intp]
) -> Mask:
    """Return (P, K) which keypoints were measured in each other's place; both of a pair or none.

    The measurements of a pair are swapped where, exchanged, they fit the predictions well and clearly better
    than as they are. Fit is the squared distance over its variance, the exponent of the normal likelihood.

    Args:
        expected: (P, K, 2) predicted places, frame px.
        spread: (P, K) their variances along each axis, px².
        measured: (P, K, 2) frame px, finite.
        variance: (P, K) of the measurements along each axis, px².
        known: (P, K) what was measured and has a prediction to be trusted.
        partner: (K,) from `partners`.
    """
    own = misfit(expected, spread, measured, variance)
    own += own[:, partner]
    found = known & known[:, partner] & (own >= BETTER) & (partner != np.arange(len(partner)))
    if found.any():
        crossed = misfit(expected, spread, measured[:, partner], variance[:, partner])
        crossed += crossed[:, partner]
        found &= (crossed <= FIT) & (own - crossed >= BETTER)
    return found


def misfit(expected: Array, spread: Array, measured: Array, variance: Array) -> Array:
    """Return (P, K) squared distances of measurements from predictions over their variances."""
    away = measured - expected
    return np.asarray((away[..., 0] ** 2 + away[..., 1] ** 2) / (spread + variance))
