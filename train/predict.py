"""From labelled pictures to predictions: given boxes, the finder's, a detector's, or bottom-up.

The decoders are the engine's, so what is judged is what ships; `decoder="published"` decodes bottom-up
networks as their papers' figures were made. Predictions can be sent between processes: each may take a share
of the pictures.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.estimator import BottomUpEstimator, TopDownEstimator
from engine.estimator.following import propose_boxes, settle_people
from engine.estimator.frame import finder_settings
from engine.geometry import BBOX_PADDING, Size, bbox_to_centre_size
from engine.model import Network
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Image, Person
from train.data.labels import ImageLabel, read_image
from train.protocols import Decoder
from train.protocols.pairing import Prediction
from train.published_bottom_up import estimate_published

Float = NDArray[np.float32]

MIN_RESCORE = 0.2
"""Keypoints scored above this have a say in a detected person's score (Sun et al. 2019)."""
WEAK_FIND = 0.15
"""Of the finder's people and peaks those above this are judged, weaker ones than are shown on video: average
precision weighs people by their scores, and counts whom a low score still finds."""
DETECTION_OKS = 0.9
"""Of detected people more alike than this, the published protocol drops the weaker ones."""


def predict(
    network: Network,
    labels: Sequence[ImageLabel],
    *,
    boxes: str = "truth",
    finder: Network | None = None,
    flip_test: bool = False,
    scales: Sequence[float] = (1.0,),
    decoder: Decoder = "engine",
    detection_oks: float = DETECTION_OKS,
) -> list[Prediction]:
    """Run a network over labelled pictures.

    Args:
        network: top-down or bottom-up.
        labels: the pictures; they are read from disk here.
        boxes: for top-down. `truth`: the labels' boxes as they are, one prediction each (Sun et al. 2019
            clip them, one px short of the border). `finder`: what a bottom-up network finds, the way
            that ships, except that weak people are kept. Else the path of a COCO detection JSON,
            judged as published: a person's score is the box score times the mean of the keypoint scores above
            0.2, then near copies are dropped.
        finder: bottom-up network for `boxes="finder"`.
        flip_test: average with the mirrored input.
        scales: of bottom-up, shares of the network's short side. The engine adds, at the smaller ones, people
            who fill the frame; the published way averages the heatmaps of all.
        decoder: of bottom-up, `published` as in Cheng et al. 2020.
        detection_oks: OKS above which a detected person is a copy; 1 keeps all.

    Returns:
        One prediction per label, in order.

    Raises:
        UsageError: the options do not fit the network, or a box file is missing or is none.
        SourceError: a picture is missing or cannot be read.
    """
    if network.spec.kind == "bottom-up":
        estimate = _whole_frame(network, flip_test, tuple(scales), decoder)
        return [_on_image(estimate, label) for label in labels]
    if decoder == "published":
        raise UsageError("the published decoder is for bottom-up networks; a model file names that of others")
    crops = TopDownEstimator(network, flip_test=flip_test)
    if boxes == "truth":
        return [_on_truth(crops, label) for label in labels]
    if boxes == "finder":
        if finder is None:
            raise UsageError("boxes 'finder' needs a bottom-up model; give --finder MODEL")
        return _on_finder(crops, finder, labels)
    given = read_boxes(Path(boxes))
    return [
        _on_detections(crops, label, *given.get(label.image_id, _NOBODY), detection_oks) for label in labels
    ]


def read_boxes(path: Path) -> dict[int, tuple[Float, Float]]:
    """Read a COCO detection JSON: a list of `image_id`, `bbox` (x, y, width, height) and `score`.

    Entries of another category than 1, person, are left out.

    Returns:
        Image id to (N, 4) xyxy image px and (N,) scores.

    Raises:
        UsageError: the file is missing, or is no such list, or a box is empty.
    """
    if not path.is_file():
        raise UsageError(
            f"box file {path} does not exist; --boxes takes truth, finder or a COCO detection JSON"
        )
    boxes: dict[int, list[list[float]]] = {}
    try:
        for row in json.loads(path.read_text(encoding="utf-8")):
            if row.get("category_id", 1) != 1:
                continue
            x, y, width, height = (float(value) for value in row["bbox"])
            if not (width > 0 and height > 0):
                raise ValueError(f"a box of image {row['image_id']} is {width:g} x {height:g}")
            entry = [x, y, x + width, y + height, float(row["score"])]
            boxes.setdefault(row["image_id"], []).append(entry)
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise UsageError(f"{path} is not a COCO detection list of image_id, bbox, score ({error})") from error
    arrays = {image: np.array(rows, np.float32) for image, rows in boxes.items()}
    return {image: (array[:, :4], array[:, 4]) for image, array in arrays.items()}


def suppress_published(
    people: Sequence[Person], areas: Sequence[float], skeleton: Skeleton, threshold: float
) -> list[Person]:
    """Drop near copies as Sun et al. 2019 do (lib/nms/nms.py, `oks_nms`).

    Goes from the highest score down and drops whoever is more alike to a kept person than `threshold`: OKS
    over all keypoints, with the mean of the two areas.

    Args:
        people: of one picture. areas: one each, px². skeleton: gives the OKS sigmas. threshold: OKS.
    """
    order = sorted(range(len(people)), key=lambda index: -people[index].score)
    variance = 2 * (2 * skeleton.sigmas.astype(np.float64)) ** 2
    kept: list[int] = []
    for index in order:
        points = people[index].keypoints.astype(np.float64)
        squares = [((points - people[other].keypoints) ** 2).sum(axis=1) for other in kept]
        means = [(areas[index] + areas[other]) / 2 + np.spacing(1.0) for other in kept]
        oks = [np.exp(-s / (variance * area)).mean() for s, area in zip(squares, means, strict=True)]
        if max(oks, default=0.0) <= threshold:
            kept.append(index)
    return [people[index] for index in kept]


_NOBODY = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def _whole_frame(
    network: Network, flip_test: bool, scales: tuple[float, ...], decoder: Decoder
) -> Callable[[Image], list[Person]]:
    if decoder == "published":
        return lambda image: estimate_published(network, image, flip_test=flip_test, scales=scales)
    return BottomUpEstimator(network, EstimatorSettings(flip_test=flip_test), scales=scales).estimate


def _on_image(estimate: Callable[[Image], list[Person]], label: ImageLabel) -> Prediction:
    image = read_image(label.path)
    return Prediction(label, tuple(estimate(image)), _size(image))


def _on_truth(crops: TopDownEstimator[Network], label: ImageLabel) -> Prediction:
    boxes = np.array([person.bbox for person in label.people], np.float32).reshape(-1, 4)
    image = read_image(label.path)
    return Prediction(label, tuple(crops.estimate(image, boxes)), _size(image), in_order=True)


def _size(image: Image) -> Size:
    return image.shape[0], image.shape[1]


def _on_finder(
    crops: TopDownEstimator[Network], finder: Network, labels: Sequence[ImageLabel]
) -> list[Prediction]:
    settings = EstimatorSettings(finder_min_score=WEAK_FIND, finder_min_peak_score=WEAK_FIND)
    find = BottomUpEstimator(finder, finder_settings(settings), scales=settings.finder_scales)
    skeleton = crops.model.spec.skeleton
    predictions = []
    for label in labels:
        image = read_image(label.path)
        boxes, _ = propose_boxes(np.zeros((0, 4)), find.estimate(image), settings)
        people = settle_people(crops.estimate(image, boxes), skeleton, settings, keep_weak=True)
        predictions.append(Prediction(label, tuple(people), _size(image)))
    return predictions


def _on_detections(
    crops: TopDownEstimator[Network], label: ImageLabel, boxes: Float, scores: Float, detection_oks: float
) -> Prediction:
    people, areas = [], []
    image, spec = read_image(label.path), crops.model.spec
    for person, box, score in zip(crops.estimate(image, boxes), boxes, scores.tolist(), strict=True):
        sure = person.scores[person.scores > MIN_RESCORE]
        people.append(replace(person, score=score * float(sure.mean()) if len(sure) else 0.0))
        areas.append(float(bbox_to_centre_size(box, spec.input_size, BBOX_PADDING)[1].prod()))
    kept = suppress_published(people, areas, spec.skeleton, detection_oks)
    return Prediction(label, tuple(kept), _size(image))
