"""Labels and answers without pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.structures import Person
from train.data.labels import ImageLabel, PersonLabel
from train.protocols.pairing import Prediction

SIZE = (720, 1280)


@pytest.fixture
def stand() -> Callable[..., PersonLabel]:
    """Function (x, height=300, track_id=None, visibility=None) → a labelled person of COCO's keypoints."""

    def make(
        x: float, height: float = 300.0, *, track_id: int | None = None, head_size: float | None = None
    ) -> PersonLabel:
        points = Walker((x, 600.0), speed=0.0, height=height).keypoints(0.0).astype(np.float32)
        bbox = np.concatenate([points.min(axis=0), points.max(axis=0)])
        area = float(height * height / 4)
        ones = np.ones(17, np.float32)
        return PersonLabel(
            int(x), points, np.full(17, 2), ones, bbox, area, track_id=track_id, head_size=head_size
        )

    return make


@pytest.fixture
def respond() -> Callable[..., Prediction]:
    """Function (label's people, people or shift, …) → a prediction of these people moved by `shift` px."""

    def make(
        truths: list[PersonLabel],
        *,
        shift: float = 0.0,
        scores: list[float] | None = None,
        answers: list[int] | None = None,
        image_id: int = 1,
        frame: int = 0,
        ignore: np.ndarray | None = None,
        in_order: bool = False,
    ) -> Prediction:
        boxes = np.zeros((0, 4), np.float32) if ignore is None else ignore
        label = ImageLabel(image_id, Path("gone.jpg"), "", tuple(truths), boxes, sequence="walk", frame=frame)
        chosen = list(range(len(truths))) if answers is None else answers
        people = tuple(
            Person(
                truths[place].keypoints + np.float32(shift),
                np.full(17, 0.9, np.float32),
                truths[place].bbox + np.float32(shift),
                0.9 if scores is None else scores[number],
            )
            for number, place in enumerate(chosen)
        )
        return Prediction(label, people, SIZE, in_order)

    return make
