"""What the tracker knows of each live track beside its keypoints' filters."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.structures import APPEARANCE_SHAPE
from engine.tracking.kalman import Array
from engine.tracking.observed import Observed


@dataclass(slots=True, eq=False)
class Tracks:
    """What is known of each live track, one row each, beside its keypoints' filters."""

    track_id: NDArray[np.int64]
    born_s: Array
    seen_for_s: Array
    unseen_s: Array
    presence: Array
    """Share of the last moments in which the track was seen, from 0 for a new one."""
    size: Array
    score: Array
    mean_score: Array
    finds: Array
    """Finder runs that saw the track, a sure one counted twice."""
    missed: Array
    """Finder runs in a row that did not."""
    twin: Array
    """Finder runs in a row that saw one person for this track and an older one."""
    learnt_s: Array
    """Seconds of clear sight that `appearance` rests on."""
    appearance: Array
    scores: Array

    @classmethod
    def none(cls, keypoints: int) -> "Tracks":
        """Return no tracks of people with so many keypoints."""
        numbers: dict[str, Any] = {item.name: np.zeros(0) for item in fields(cls)}
        numbers |= {"appearance": np.zeros((0, *APPEARANCE_SHAPE)), "scores": np.zeros((0, keypoints))}
        return cls(**numbers | {"track_id": np.zeros(0, np.int64)})

    def __len__(self) -> int:
        return len(self.track_id)

    def add(self, people: Observed, chosen: Sequence[int], time_s: float) -> None:
        """Append a tentative track for each chosen person."""
        if len(chosen) == 0:
            return
        blank = np.zeros(len(chosen))
        new = dict.fromkeys((item.name for item in fields(self)), blank) | {
            "track_id": blank.astype(np.int64),
            "born_s": blank + time_s,
            "size": people.sizes[chosen],
            "score": people.score[chosen],
            "mean_score": people.score[chosen],
            "appearance": np.zeros((len(chosen), *APPEARANCE_SHAPE)),
            "scores": people.scores[chosen],
        }
        for name, values in new.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows and forget the others."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name)[rows])
