"""Measure a model on labelled images: OKS, AP, AR, PCK, through the decoders that ship.

A top-down model is judged on given boxes (truth), on the boxes of the finder, or on those of a file; a
bottom-up model on its own. With truth boxes every labelled person gets exactly one prediction; otherwise
predictions are paired with people by best OKS, one to one, and a person who was not found scores 0.
"""

import contextlib
import io
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment
from torch import nn

from engine.errors import UsageError
from engine.estimator import BottomUpEstimator, TopDownEstimator
from engine.model import Network, open_model
from engine.settings import EstimatorSettings, Precision, RuntimeName
from engine.skeleton import Skeleton
from engine.structures import Person
from engine.tracking.oks import oks_matrix
from train.config_file import load_settings
from train.data.coco import load_coco
from train.data.labels import ImageLabel, PersonLabel, read_image
from train.export import load_trained, wrap_network
from train.settings import Stage, TrainSettings

log = logging.getLogger(__name__)

PCK_ALPHA = 0.1
"""A keypoint is correct within this share of the longer side of the person's box (Yang & Ramanan 2013)."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which labelled people count: at least so many keypoints and so much height in px."""

    min_keypoints: int = 1
    min_height: float = 0.0

    def holds(self, person: PersonLabel) -> bool:
        """Return whether the person counts."""
        height = float(person.bbox[3] - person.bbox[1])
        return int((person.visibility > 0).sum()) >= self.min_keypoints and height >= self.min_height


def open_network(
    model: str, config: Path | None = None, *, runtime: RuntimeName = "auto", precision: Precision = "auto"
) -> Network:
    """Open an ONNX file, a zoo name, or a checkpoint (with the config it carries, or the one given)."""
    if Path(model).suffix in {".pt", ".pth"}:
        return load_trained(Path(model), None if config is None else load_settings(config))[0]
    return open_model(model, runtime=runtime, precision=precision)


def evaluate(
    network: Network,
    annotations: Path,
    images: Path,
    *,
    boxes: str = "truth",
    finder: Network | None = None,
    selection: Selection | None = None,
    flip_test: bool = False,
) -> dict:
    """Evaluate a network on a COCO keypoint file.

    Args:
        network: top-down or bottom-up.
        annotations: COCO keypoint JSON. images: its folder.
        boxes: for top-down `truth`, `finder`, or the path of a COCO detection JSON.
        finder: bottom-up network for `boxes="finder"`.
        selection: which people count; the others are ignored.
        flip_test: average with the mirrored input.

    Returns:
        `mean_oks`, `ap`, `ap50`, `ar` in [0, 1]; `per_keypoint` name → mean keypoint similarity and PCK;
        `people`, how many counted; `persons`, one record per annotation that counted.
    """
    skeleton = network.spec.skeleton
    selection = selection or Selection()
    labels = load_coco(annotations, images, skeleton)
    predictions: list[tuple[ImageLabel, list[Person], bool]] = []
    given = _read_boxes(Path(boxes)) if boxes not in {"truth", "finder"} else {}
    settings = EstimatorSettings(flip_test=flip_test)
    if network.spec.kind == "bottom-up":
        whole = BottomUpEstimator(network, settings)
        predictions = [(label, whole.estimate(read_image(label.path)), False) for label in labels]
    else:
        crops = TopDownEstimator(network, flip_test=flip_test)
        if boxes == "finder" and finder is None:
            raise UsageError("boxes 'finder' needs a bottom-up model; give --finder MODEL")
        find = None if finder is None else BottomUpEstimator(finder, settings, scales=settings.finder_scales)
        for label in labels:
            image = read_image(label.path)
            if boxes == "truth":
                found = np.array([p.bbox for p in label.people], np.float32).reshape(-1, 4)
            elif find is not None and boxes == "finder":
                found = np.array([p.bbox for p in find.estimate(image)], np.float32).reshape(-1, 4)
            else:
                found = given.get(label.image_id, np.zeros((0, 4), np.float32))
            people = list(crops.estimate(image, found)) if len(found) else []
            predictions.append((label, people, boxes == "truth"))
    return summarise(predictions, skeleton, selection)


def evaluate_network(network: nn.Module, settings: TrainSettings, stage: Stage) -> dict[str, float]:
    """Return mean OKS of a network in training on the validation people that count.

    Top-down on truth boxes; bottom-up on its own.
    """
    assert settings.validation is not None
    staged = settings.model_copy(update={"stages": (stage,)})
    trained = wrap_network(network, staged)
    figures = evaluate(
        trained,
        settings.validation.annotations,
        settings.validation.images,
        selection=Selection(settings.validation_min_keypoints, settings.validation_min_height),
    )
    return {name: figures[name] for name in ("mean_oks", "ap", "ap50")}


def summarise(
    predictions: Sequence[tuple[ImageLabel, list[Person], bool]], skeleton: Skeleton, selection: Selection
) -> dict:
    """Turn predictions into the figures of `evaluate`.

    Args:
        predictions: per image its labels, its predicted people, and whether they are in the labels' order.
        skeleton: whose sigmas judge.
        selection: which people count.
    """
    persons: list[dict] = []
    similarity: list[NDArray[np.float64]] = []
    correct: list[NDArray[np.float64]] = []
    for label, people, in_order in predictions:
        pairs = _pair(label, people, skeleton, in_order=in_order)
        for index, person in enumerate(label.people):
            if not selection.holds(person):
                continue
            found = pairs.get(index)
            per_keypoint = np.full(skeleton.count, np.nan)
            hit = np.full(skeleton.count, np.nan)
            labelled = person.visibility > 0
            per_keypoint[labelled], hit[labelled] = 0.0, 0.0
            if found is not None:
                per_keypoint[labelled] = keypoint_similarity(found, person, skeleton)[labelled]
                reach = PCK_ALPHA * float((person.bbox[2:] - person.bbox[:2]).max())
                distance = np.linalg.norm(found.keypoints - person.keypoints, axis=1)
                hit[labelled] = (distance <= reach)[labelled]
            similarity.append(per_keypoint)
            correct.append(hit)
            persons.append(
                {
                    "id": int(person.annotation_id),
                    "oks": float(np.nanmean(per_keypoint)),
                    "keypoints": None if found is None else _flat(found),
                }
            )
    if not persons:
        raise UsageError("no labelled person to evaluate on; loosen --min-keypoints and --min-height")
    table = np.array(similarity)
    hits = np.array(correct)
    return {
        "mean_oks": float(np.mean([person["oks"] for person in persons])),
        **_average_precision(predictions, skeleton, selection),
        "per_keypoint": {
            name: {"oks": _mean(table[:, k]), f"pck@{PCK_ALPHA}": _mean(hits[:, k])}
            for k, name in enumerate(skeleton.keypoints)
        },
        "people": len(persons),
        "persons": persons,
    }


def keypoint_similarity(person: Person, truth: PersonLabel, skeleton: Skeleton) -> NDArray[np.float64]:
    """Return (K,) similarities exp(-d² / (2 area (2 sigma)²)) of COCO's OKS, before the mean."""
    squared = ((person.keypoints.astype(np.float64) - truth.keypoints) ** 2).sum(axis=1)
    variance = (2 * skeleton.sigmas.astype(np.float64)) ** 2
    return np.exp(-squared / (2 * variance * (truth.area + np.spacing(1))))


def _pair(
    label: ImageLabel, people: Sequence[Person], skeleton: Skeleton, *, in_order: bool
) -> dict[int, Person]:
    if in_order:
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


def _average_precision(
    predictions: Sequence[tuple[ImageLabel, list[Person], bool]], skeleton: Skeleton, selection: Selection
) -> dict[str, float]:
    images: list[dict] = []
    truths: list[dict] = []
    results: list[dict] = []
    for label, people, _ in predictions:
        images.append({"id": label.image_id})
        for person in label.people:
            x1, y1, x2, y2 = (float(v) for v in person.bbox)
            counts = selection.holds(person)
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": label.image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": person.area,
                    "num_keypoints": int((person.visibility > 0).sum()) if counts else 0,
                    "keypoints": np.column_stack([person.keypoints, person.visibility]).ravel().tolist(),
                }
            )
        results += [
            {"image_id": label.image_id, "category_id": 1, "keypoints": _flat(p), "score": float(p.score)}
            for p in people
        ]
    if not results:
        return {"ap": 0.0, "ap50": 0.0, "ar": 0.0}
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
    return {"ap": float(judge.stats[0]), "ap50": float(judge.stats[1]), "ar": float(judge.stats[5])}


def _flat(person: Person) -> list[float]:
    rows = np.column_stack([person.keypoints, person.scores]).astype(float)
    return [round(value, 3) for value in rows.ravel().tolist()]


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _read_boxes(path: Path) -> dict[int, NDArray[np.float32]]:
    if not path.is_file():
        raise UsageError(
            f"box file {path} does not exist; --boxes takes truth, finder or a COCO detection JSON"
        )
    try:
        rows: Iterable[dict] = json.loads(path.read_text(encoding="utf-8"))
        boxes: dict[int, list[list[float]]] = {}
        for row in rows:
            x, y, width, height = row["bbox"]
            boxes.setdefault(row["image_id"], []).append([x, y, x + width, y + height])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a COCO detection list of image_id, bbox, score ({error})") from error
    return {image: np.array(value, np.float32) for image, value in boxes.items()}
