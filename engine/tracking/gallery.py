"""Who went away: confirmed people out of sight, kept for seconds so that they get their own id back.

A newcomer is one of them if the clothes are the same, the size fits, and the place can be reached in the
time. Without clothes nobody is recognised: place alone says little after seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.structures import APPEARANCE_SHAPE
from engine.tracking.association import assign, compare_appearance

Array = NDArray[np.float64]

STRANGER, ALIKE = 0.75, 0.95
"""Clothes less alike than the first are a stranger's, those more alike than the second surely the same."""
ENOUGH, ENOUGH_INSIDE = 0.45, 0.05
"""What clothes and place together must say, of 1, before somebody is given an old id. The second counts for
who was lost in the middle of the frame, and who comes up there: nobody leaves or enters in the middle."""
CLEARLY = 0.1
"""How much more they must say for one of the gone than for any other, or twice as much: else nobody is
recognised."""
SIDE, FOOT = 1.0, 0.75
"""People leave at the sides and the foot of the frame: its middle begins so many person sizes from them,"""
STEPS_S = 0.5
"""and somebody is in the middle who is there before or after so many seconds too."""
NEAR = 1.0
"""Within so many person sizes of where somebody is expected the place raises no doubt,"""
REACH = 1.5
"""and this many more per second away."""
MAX_SIZE_RATIO, SIZE_GROWTH = 1.6, 0.25
"""How differently large the two may be, and what is added to that per second away."""


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """Somebody out of sight.

    track_id: of the person. born_s, gone_s: when the track began and was seen last. appearance: (R, A) the
    clothes. place: (2,) centre, frame px, when last seen; velocity: (2,) px/s then; size: px.
    seen_for_s: how long in all. twin: whether the track was dropped as the second one of somebody who has an
    older one, and so may be nobody. inside: whether last seen in the middle of the frame, see `in_middle`.
    """

    track_id: int
    born_s: float
    gone_s: float
    appearance: Array
    place: Array
    velocity: Array
    size: float
    seen_for_s: float = 0.0
    twin: bool = False
    inside: bool = False


class Gallery:
    """People out of sight who have no track any more."""

    def __init__(self) -> None:
        self.gone: list[Gone] = []

    @property
    def appearance(self) -> Array:
        """(G, R, A) clothes of everybody in it."""
        return np.array([person.appearance for person in self.gone]).reshape(-1, *APPEARANCE_SHAPE)

    def add(self, person: Gone) -> None:
        """Remember somebody, unless nothing is known of the clothes."""
        if person.appearance.any():
            self.gone.append(person)

    def forget(self, before_s: float) -> None:
        """Forget whoever was seen last before a moment."""
        if self.gone and self.gone[0].gone_s < before_s:
            self.gone = [person for person in self.gone if person.gone_s >= before_s]

    def remove(self, track_id: int) -> None:
        """Forget somebody who is back."""
        self.gone = [person for person in self.gone if person.track_id != track_id]

    def move(self, camera: Array) -> None:
        """Carry all places into the frame that a moving camera sees next, by a (2, 3) similarity."""
        turn, shift = camera[:, :2], camera[:, 2]
        self.gone = [
            replace(person, place=turn @ person.place + shift, velocity=turn @ person.velocity)
            for person in self.gone
        ]


def recognise(
    gone: Sequence[Gone],
    appearance: Array,
    places: Array,
    sizes: Array,
    time_s: float,
    inside: NDArray[np.bool_] | None = None,
) -> list[tuple[int, int]]:
    """Return who of the gone is back as which newcomer: pairs (index of gone, newcomer), each at most once.

    Args:
        gone: people out of sight.
        appearance: (M, R, A) clothes of the newcomers, 0 where unknown.
        places: (M, 2) frame px, their centres.
        sizes: (M,) px, their sizes.
        time_s: now.
        inside: (M,) who of them came up in the middle of the frame, see `in_middle`; None for nobody.
    """
    if not gone or not len(appearance):
        return []
    evidence = likelihood(gone, appearance, places, sizes, time_s)
    came_inside = np.zeros(len(appearance), bool) if inside is None else inside
    unexplained = np.array([person.inside for person in gone])[:, None] & came_inside
    enough = evidence >= np.where(unexplained, ENOUGH_INSIDE, ENOUGH)
    pairs = assign(np.where(enough, evidence, 0.0), ENOUGH_INSIDE, np.ones(len(gone)))
    twins = np.array([person.twin for person in gone])
    return [pair for pair in pairs if _is_clear(evidence, twins, *pair)]


def in_middle(
    places: Array, velocity: Array, sizes: Array, frame_size: tuple[int, int] | None, steps_s: float
) -> NDArray[np.bool_]:
    """(M,) who is in the middle of the frame, now and `steps_s` from now, where nobody enters or leaves it.

    Args:
        places: (M, 2) frame px, centres of people.
        velocity: (M, 2) px/s.
        sizes: (M,) px.
        frame_size: (height, width) px; None where unknown: nobody is in the middle then.
        steps_s: seconds; below 0 they are before now.
    """
    if frame_size is None:
        return np.zeros(len(places), bool)
    height, width = frame_size
    both = np.stack([places, places + steps_s * velocity])
    x, y = both[..., 0], both[..., 1]
    within = (x >= SIDE * sizes) & (x <= width - SIDE * sizes) & (y <= height - FOOT * sizes)
    return np.asarray(within.all(axis=0))


def likelihood(gone: Sequence[Gone], appearance: Array, places: Array, sizes: Array, time_s: float) -> Array:
    """Return how much speaks for each of the gone being each newcomer, (N, M) from 0 to 1."""
    alike, known = compare_appearance(np.array([person.appearance for person in gone]), appearance)
    clothes = np.clip((alike - STRANGER) / (ALIKE - STRANGER), 0.0, 1.0) * known
    away_s = np.array([time_s - person.gone_s for person in gone])
    last = np.array([person.place for person in gone])
    ahead = last + away_s[:, None] * np.array([person.velocity for person in gone])
    size = np.array([person.size for person in gone])[:, None]
    # Somebody out of sight stands, walks on, or anything between.
    along = ahead - last
    share = ((places[None] - last[:, None]) * along[:, None]).sum(axis=-1)
    share = np.clip(share / np.maximum((along**2).sum(axis=-1), 1e-9)[:, None], 0.0, 1.0)
    nearest = last[:, None] + share[..., None] * along[:, None]
    distance = np.linalg.norm(places[None] - nearest, axis=-1) / size
    stray = np.maximum(distance - NEAR, 0.0) / (NEAR + REACH * away_s[:, None])
    ratio = np.maximum(size / sizes, sizes / size)
    fits = ratio <= MAX_SIZE_RATIO + SIZE_GROWTH * away_s[:, None]
    return np.asarray(clothes * np.exp(-(stray**2)) * fits)


def _is_clear(evidence: Array, twins: NDArray[np.bool_], row: int, column: int) -> bool:
    """Whether none of the others is nearly as likely to be this newcomer; beside people, twins are none."""
    rivals = (np.arange(len(twins)) != row) & ~(twins & ~twins[row])
    others = evidence[rivals, column]
    own = float(evidence[row, column])
    return not len(others) or bool(own >= others.max() + min(CLEARLY, own / 2))
