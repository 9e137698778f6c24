"""Measure a model on labelled images: OKS, AP, AR, PCK, kinds of mistakes, through the decoders that ship.

A top-down model is judged on given boxes (truth), on the boxes of the finder, or on those of a file; a
bottom-up model on its own. With truth boxes every labelled person gets exactly one prediction; otherwise
predictions are paired with people by best OKS, one to one, and a person who was not found scores 0.
`predict` may run in shares and processes, `summarise` takes all predictions together.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.metrics.pck import pck, pck_by_keypoint
from engine.metrics.pose_errors import KINDS, classify_keypoints
from engine.model import Network, open_model
from engine.settings import Precision, RuntimeName
from engine.skeleton import Skeleton
from train.config_file import load_settings
from train.data.labels import ImageLabel
from train.export import load_trained
from train.predict import predict
from train.protocols import Decoder, Protocol
from train.protocols.coco import average_precision
from train.protocols.pairing import Judged, Prediction, Selection, flatten_keypoints, judge
from train.protocols.pck import TORSO_ALPHA, curve, lsp_figures, mpii_figures, stack_judged, torso_distances
from train.protocols.posetrack import posetrack_figures

__all__ = ["Prediction", "Selection", "evaluate", "open_network", "predict", "summarise"]


PCK_ALPHA = 0.1
"""A keypoint is correct within this share of the longer side of the person's box (Yang & Ramanan 2013)."""
HEIGHTS = (96.0, 192.0, 384.0)
"""Borders in px between the rows of figures by height."""
CROWDS = (1, 2, 4)
"""Largest numbers of people in a picture for the rows of figures by company; the last row has more."""


def open_network(
    model: str, config: Path | None = None, *, runtime: RuntimeName = "auto", precision: Precision = "auto"
) -> Network:
    """Open an ONNX file, a zoo name, or a checkpoint (with the config it carries, or the one given)."""
    if Path(model).suffix in {".pt", ".pth"}:
        return load_trained(Path(model), None if config is None else load_settings(config))[0]
    return open_model(model, runtime=runtime, precision=precision)


def evaluate(
    network: Network,
    labels: Sequence[ImageLabel],
    *,
    boxes: str = "truth",
    finder: Network | None = None,
    selection: Selection | None = None,
    flip_test: bool = False,
    scales: Sequence[float] = (1.0,),
    decoder: Decoder = "engine",
    protocol: Protocol | None = None,
) -> dict:
    """Predict and summarise; see `predict` and `summarise` for arguments, figures and errors."""
    predictions = predict(
        network, labels, boxes=boxes, finder=finder, flip_test=flip_test, scales=scales, decoder=decoder
    )
    return summarise(predictions, network.spec.skeleton, selection or Selection(), protocol=protocol)


def default_protocol(skeleton: Skeleton) -> Protocol:
    """Return the protocol of the data set that a skeleton belongs to; COCO's for all others."""
    protocols: dict[str, Protocol] = {"mpii16": "mpii", "lsp14": "lsp", "posetrack17": "posetrack"}
    return protocols.get(skeleton.name, "coco")


def summarise(
    predictions: Sequence[Prediction],
    skeleton: Skeleton,
    selection: Selection,
    *,
    protocol: Protocol | None = None,
) -> dict:
    """Turn predictions into figures, ready for JSON.

    Args:
        predictions: of all images.
        skeleton: whose sigmas judge.
        selection: which people count; the others are ignored.
        protocol: whose figures to add; None takes `default_protocol`.

    Returns:
        `mean_oks` and the ten of `average_precision` in [0, 1]; `pck_torso`, PCK@0.2 of the torso, with
        `pck_curve`; `errors`, the share of labelled keypoints by kind of mistake (`pose_errors.KINDS`, and
        `unfound` for those of people nobody answers for); `per_keypoint` name → mean similarity, PCK@0.1 of
        the box, PCK@0.2 of the torso; `by_height` and `by_company`, rows of people and mean OKS; `people`,
        how many counted; `persons`, one record per annotation that counted; `protocol`, and under its name
        `lsp` (`lsp_figures`), `mpii` (`mpii_figures`) or `posetrack` (`posetrack_figures`).

    Raises:
        UsageError: nobody counts, or the labels lack what the protocol needs.
    """
    judged = list(judge(predictions, skeleton, selection))
    if not judged:
        raise UsageError("no labelled person to evaluate on; loosen --min-keypoints and --min-height")
    protocol = protocol or default_protocol(skeleton)
    stack = stack_judged(judged, skeleton)
    torso = torso_distances(stack, skeleton)
    figures = {
        "mean_oks": float(np.mean([item.oks for item in judged])),
        **average_precision(predictions, skeleton, selection),
        "pck_torso": _number(pck(torso, TORSO_ALPHA)),
        "errors": _share_errors(judged, skeleton),
        "per_keypoint": _per_keypoint(judged, torso, skeleton),
        "by_height": _by_height(judged),
        "by_company": _by_company(judged),
        "pck_curve": curve(torso),
        "people": len(judged),
        "persons": [_record(item) for item in judged],
        "protocol": protocol,
    }
    if protocol == "lsp":
        figures["lsp"] = lsp_figures(stack, skeleton)
    elif protocol == "mpii":
        figures["mpii"] = mpii_figures(stack, skeleton)
    elif protocol == "posetrack":
        figures["posetrack"] = posetrack_figures(predictions, skeleton)
    return figures


def _per_keypoint(judged: Sequence[Judged], torso: NDArray[np.float64], skeleton: Skeleton) -> dict:
    table = np.array([item.similarity for item in judged])
    hits = np.array([_box_hits(item) for item in judged])
    by_torso = pck_by_keypoint(torso, TORSO_ALPHA)
    return {
        name: {
            "oks": _mean(table[:, k]),
            f"pck@{PCK_ALPHA}": _mean(hits[:, k]),
            f"pck_torso@{TORSO_ALPHA}": _number(float(by_torso[k])),
        }
        for k, name in enumerate(skeleton.keypoints)
    }


def _box_hits(item: Judged) -> NDArray[np.float64]:
    """Return (K,) whether each keypoint is within `PCK_ALPHA` of the box's longer side, NaN without label."""
    hit = np.zeros(len(item.similarity))
    if item.found is not None:
        reach = PCK_ALPHA * float((item.person.bbox[2:] - item.person.bbox[:2]).max())
        hit = (np.linalg.norm(item.found.keypoints - item.person.keypoints, axis=1) <= reach).astype(float)
    return np.where(np.isnan(item.similarity), np.nan, hit)


def _share_errors(judged: Sequence[Judged], skeleton: Skeleton) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for item in judged:
        people = item.label.people
        labelled = int((item.person.visibility > 0).sum())
        if item.found is None:
            counts["unfound"] += labelled
            continue
        kinds = classify_keypoints(
            item.found.keypoints,
            item.place,
            np.array([person.keypoints for person in people]),
            np.array([person.visibility > 0 for person in people]),
            [person.area for person in people],
            skeleton,
        )
        counts.update(KINDS[kind] for kind in kinds[kinds >= 0])
    total = sum(counts.values())
    return {kind: counts[kind] / total for kind in (*KINDS, "unfound")}


def _by_height(judged: Sequence[Judged]) -> list[dict]:
    def height(item: Judged) -> int:
        return int(np.searchsorted(HEIGHTS, float(item.person.bbox[3] - item.person.bbox[1]), side="right"))

    low, high = (f"below {HEIGHTS[0]:g} px", f"{HEIGHTS[-1]:g} px and more")
    middle = [f"{a:g} to {b:g} px" for a, b in pairwise(HEIGHTS)]
    return _rows(judged, height, [low, *middle, high])


def _by_company(judged: Sequence[Judged]) -> list[dict]:
    def company(item: Judged) -> int:
        return int(np.searchsorted(CROWDS, len(item.label.people)))

    names = ["alone", "2 people", "3 or 4 people", "5 people and more"]
    return _rows(judged, company, names)


def _rows(judged: Sequence[Judged], group: Callable[[Judged], int], names: Sequence[str]) -> list[dict]:
    rows = []
    for number, name in enumerate(names):
        members = [item for item in judged if group(item) == number]
        if members:
            found = sum(item.found is not None for item in members)
            rows.append(
                {
                    "name": name,
                    "people": len(members),
                    "found": found,
                    "mean_oks": float(np.mean([item.oks for item in members])),
                }
            )
    return rows


def _record(item: Judged) -> dict:
    return {
        "id": int(item.person.annotation_id),
        "image_id": int(item.label.image_id),
        "oks": item.oks,
        "keypoints": None if item.found is None else flatten_keypoints(item.found),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
