"""COCO: average precision and recall over OKS, by pycocotools itself."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from engine.skeleton import Skeleton
from train.data.labels import ImageLabel, PersonLabel, mean_area
from train.protocols.pairing import Prediction, Selection, flatten_keypoints

FIGURES = (
    "ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large",
)  # fmt: skip
"""The ten figures in the order of pycocotools: over OKS 0.50 to 0.95, at 0.50, at 0.75, and over OKS for
areas of 32² to 96² px and above."""


def average_precision(
    predictions: Sequence[Prediction], skeleton: Skeleton, selection: Selection
) -> dict[str, float | None]:
    """Return COCO's ten figures over the people that count.

    The others are treated as COCO treats people without labels: whoever matches one of them, and nobody who
    counts, is ignored; a detection too unlike them to match is a false one. Ignore boxes are people without
    labels: one detection near each, or all of them near a crowd, is ignored. At most 20 detections per
    picture count, the highest scores, as pycocotools has it for keypoints.

    Args:
        predictions: of all pictures.
        skeleton: gives the OKS sigmas.
        selection: which people count.

    Returns:
        the figures by name in [0, 1]; None for a range of areas in which nobody is.
    """
    images: list[dict] = []
    truths: list[dict] = []
    results: list[dict] = []
    for prediction in predictions:
        label = prediction.label
        images.append({"id": label.image_id})
        entries = [_person(person, counts=selection.holds(person)) for person in label.people]
        entries += _ignored(label, skeleton.count)
        for entry in entries:
            truths.append({"id": len(truths) + 1, "image_id": label.image_id, "category_id": 1, **entry})
        for found in prediction.people:
            results.append(
                {
                    "image_id": label.image_id,
                    "category_id": 1,
                    "keypoints": flatten_keypoints(found),
                    "score": float(found.score),
                }
            )
    if not results:
        return dict.fromkeys(FIGURES, 0.0)
    # pycocotools prints as it goes; its own functions are the reference, so they are run as they are.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": truths, "categories": [{"id": 1, "name": "person"}]}
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "keypoints")
        judge.params.kpt_oks_sigmas = skeleton.sigmas.astype(np.float64)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    values = [float(value) for value in judge.stats]
    return {name: None if value < 0 else value for name, value in zip(FIGURES, values, strict=True)}


def _person(person: PersonLabel, *, counts: bool) -> dict:
    x1, y1, x2, y2 = (float(value) for value in person.bbox)
    return {
        "iscrowd": 0,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": person.area,
        # pycocotools ignores people without labels by this number alone; OKS with them uses the keypoints.
        "num_keypoints": int((person.visibility > 0).sum()) if counts else 0,
        "keypoints": np.column_stack([person.keypoints, person.visibility]).ravel().tolist(),
    }


def _ignored(label: ImageLabel, count: int) -> list[dict]:
    boxes, crowds, areas = label.ignore_bboxes, label.ignore_crowds, label.ignore_areas
    sizes = boxes[:, 2:] - boxes[:, :2]
    crowds = np.ones(len(boxes), bool) if crowds is None else crowds
    areas = np.array([mean_area(box) for box in boxes], np.float32) if areas is None else areas
    return [
        {
            "iscrowd": int(crowd),
            "bbox": [*low, *size],
            "area": area,
            "num_keypoints": 0,
            "keypoints": [0.0] * (3 * count),
        }
        for low, size, area, crowd in zip(
            boxes[:, :2].tolist(), sizes.tolist(), areas.tolist(), crowds.tolist(), strict=True
        )
    ]
