"""Which sample has which number: drawn by weight with replacement, or epoch after epoch without."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["weighted", "epochs"]


class SampleOrder:
    """Maps a sample's number to what it shows; a pure function of seed and number.

    ``weighted``: a draw by weight, made from the sample's own generator. ``epochs``: number n shows element
    n % N of a permutation of all N elements that is seeded by the run's seed and the epoch n // N.
    """

    def __init__(self, weights: Sequence[float], sampling: Sampling, seed: int) -> None:
        values = np.asarray(weights, np.float64)
        self.sampling, self.seed = sampling, seed
        self.members = np.flatnonzero(values > 0)
        self.cumulative = np.cumsum(values / values.sum())

    def __len__(self) -> int:
        """Number of elements that can be drawn: an epoch's length."""
        return len(self.members)

    def index(self, number: int, rng: np.random.Generator) -> int:
        """Return the index into the weights of sample `number`, whose generator is `rng`."""
        if self.sampling == "epochs":
            epoch, place = divmod(number, len(self))
            return int(self.members[_permutation(self.seed, epoch, len(self))[place]])
        return self.draw(rng)

    def draw(self, rng: np.random.Generator) -> int:
        """Return an index drawn by weight."""
        return min(int(np.searchsorted(self.cumulative, rng.random())), len(self.cumulative) - 1)


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of an epoch; a batch touches two of them at most."""
    # The third number keeps this generator apart from those of the samples, which have two.
    return np.random.default_rng([seed, epoch, count]).permutation(count)
