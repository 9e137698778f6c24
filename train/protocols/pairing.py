"""Which people are judged, and which prediction answers for whom; shared by all protocols."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.geometry import Size
from engine.skeleton import Skeleton
from engine.structures import Person
from engine.tracking.oks import oks_matrix
from train.data.labels import ImageLabel, PersonLabel


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which labelled people count: at least so many keypoints and so much height in px."""

    min_keypoints: int = 1
    min_height: float = 0.0

    def holds(self, person: PersonLabel) -> bool:
        """Return whether the person counts."""
        height = float(person.bbox[3] - person.bbox[1])
        return int((person.visibility > 0).sum()) >= self.min_keypoints and height >= self.min_height


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One picture's labels and the people predicted there; can be sent between processes.

    size: (height, width) of the picture. in_order: whether `people` answer for the label's people one by one,
    as they do on truth boxes.
    """

    label: ImageLabel
    people: tuple[Person, ...]
    size: Size
    in_order: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One person that counts.

    place: index in the label's people. found: the prediction that answers for it, None where nobody does.
    similarity: (K,) of `keypoint_similarity`, 0 where not found, NaN where there is no label.
    """

    label: ImageLabel
    place: int
    found: Person | None
    similarity: NDArray[np.float64]

    @property
    def person(self) -> PersonLabel:
        """The label."""
        return self.label.people[self.place]

    @property
    def oks(self) -> float:
        """Mean similarity over the labelled keypoints, COCO's OKS."""
        return float(np.nanmean(self.similarity))


def drop_labels(labels: Sequence[ImageLabel], min_visibility: int) -> list[ImageLabel]:
    """Return the labels without keypoints whose COCO v is below `min_visibility`.

    Files that machines have filled up may mark their labels by a low v, so that models can be judged on those
    that people made.
    """
    return [
        replace(
            label,
            people=tuple(
                replace(person, visibility=np.where(person.visibility < min_visibility, 0, person.visibility))
                for person in label.people
            ),
        )
        for label in labels
    ]


def judge(predictions: Sequence[Prediction], skeleton: Skeleton, selection: Selection) -> Iterator[Judged]:
    """Go through all people that count, each with who answers for it."""
    for prediction in predictions:
        pairs = pair_people(prediction, skeleton)
        for place, person in enumerate(prediction.label.people):
            if selection.holds(person):
                found = pairs.get(place)
                labelled = person.visibility > 0
                similarity = 0.0 if found is None else keypoint_similarity(found, person, skeleton)
                yield Judged(prediction.label, place, found, np.where(labelled, similarity, np.nan))


def pair_people(prediction: Prediction, skeleton: Skeleton) -> dict[int, Person]:
    """Return who answers for whom: index of a labelled person to a prediction.

    Predictions not in order are paired with people one to one so that the sum of OKS is largest; a pair
    without any likeness is none.
    """
    label, people = prediction.label, prediction.people
    if prediction.in_order:
        return dict(enumerate(people))
    if not people or not label.people:
        return {}
    likeness = oks_matrix(
        np.array([p.keypoints for p in label.people]),
        np.array([p.keypoints for p in people]),
        skeleton.sigmas,
        np.array([p.area for p in label.people]),
        np.array([p.visibility > 0 for p in label.people]),
    )
    rows, columns = linear_sum_assignment(-likeness)
    return {int(r): people[int(c)] for r, c in zip(rows, columns, strict=True) if likeness[r, c] > 0}


def keypoint_similarity(person: Person, truth: PersonLabel, skeleton: Skeleton) -> NDArray[np.float64]:
    """Return (K,) similarities exp(-d² / (2 area (2 sigma)²)) of COCO's OKS, before the mean."""
    squared = ((person.keypoints.astype(np.float64) - truth.keypoints) ** 2).sum(axis=1)
    variance = (2 * skeleton.sigmas.astype(np.float64)) ** 2
    return np.exp(-squared / (2 * variance * (truth.area + np.spacing(1))))


def flatten_keypoints(person: Person) -> list[float]:
    """Return x, y, score of all keypoints in a row, as COCO's result files have them, to 0.001."""
    rows = np.column_stack([person.keypoints, person.scores]).astype(float)
    return [round(value, 3) for value in rows.ravel().tolist()]
