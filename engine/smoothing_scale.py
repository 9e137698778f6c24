"""One slider from steady to fast for the constants of smoothing.

Share 0 is steadiest, 1 fastest, and the default settings lie at 0.5. Every step multiplies a constant by the
same factor. On a simulated walker, 300 px tall and seen with errors of 3 px, this leaves of the jitter at
rest, and costs the legs in lag:

========  ===========  ============
share     Kalman       One-Euro
========  ===========  ============
0         9 %, 70 ms   8 %, 36 ms
0.5       25 %, 9 ms   25 %, 13 ms
1         65 %, 0 ms   57 %, 4 ms
========  ===========  ============
"""

import math
from collections.abc import Mapping

from engine.settings import SmoothingSettings

DEFAULT_SHARE = 0.5
"""Where the default settings lie."""

KALMAN: Mapping[str, float] = {"measurement_noise": 1 / 3, "acceleration_noise": 3.0}
ONE_EURO: Mapping[str, float] = {"one_euro_cutoff_hz": 4.0, "one_euro_speed_gain": 4.0}
"""Constant to what multiplies its default at share 1, and divides it at 0."""


def smoothing_at(share: float, base: SmoothingSettings) -> SmoothingSettings:
    """Return settings between steady and fast.

    Args:
        share: 0 steadiest to 1 fastest, clipped.
        base: gives the method and everything that is neither noise nor cutoff.

    Returns:
        `base` with the constants of both filters at `share`, so that a change of method keeps it.
    """
    exponent = 2 * (min(max(share, 0.0), 1.0) - DEFAULT_SHARE)
    default = SmoothingSettings()
    return base.model_copy(
        update={
            name: getattr(default, name) * factor**exponent for name, factor in {**KALMAN, **ONE_EURO}.items()
        }
    )


def share_of(settings: SmoothingSettings) -> float:
    """Return where settings lie, 0 steadiest to 1 fastest, clipped; the inverse of `smoothing_at`.

    The constants of the method in use count, Kalman's where there is none; where they disagree, their mean.
    """
    default, factors = SmoothingSettings(), ONE_EURO if settings.method == "one-euro" else KALMAN
    shares = []
    for name, factor in factors.items():
        value = getattr(settings, name)  # a gain of 0 is as steady as can be
        steps = math.log(value / getattr(default, name)) / math.log(factor) if value > 0 else -math.inf
        shares.append(min(max(DEFAULT_SHARE + 0.5 * steps, 0.0), 1.0))
    return sum(shares) / len(shares)
