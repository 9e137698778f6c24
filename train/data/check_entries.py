"""Look through a COCO-like file as it is written, before labels are made of it."""

import math
from collections import Counter
from collections.abc import Hashable
from typing import Any

from engine.skeleton import Skeleton
from train.data.findings import Finding

Entry = dict[str, Any]


def check_entries(
    content: dict[str, Any], skeleton: Skeleton, file: str, *, compare_counts: bool, box_needed: bool
) -> tuple[list[Finding], dict[str, Any]]:
    """Check images and annotations one by one.

    Args:
        content: what is in the file.
        skeleton: says how many keypoints an annotation needs.
        file: its name, for the findings.
        compare_counts: whether ``num_keypoints`` should count the labels (CrowdPose leaves out two).
        box_needed: whether every annotation needs a ``bbox``.

    Returns:
        Findings, and the content without the entries that no label can be made of.
    """
    findings: list[Finding] = []
    images = _check_images(content["images"], file, findings)
    known = {info["id"] for info in images if "id" in info} | {
        i["frame_id"] for i in images if "frame_id" in i
    }
    categories = {category.get("id") for category in content.get("categories") or []}
    annotations, unlabelled = [], 0
    used: Counter[Hashable] = Counter()
    ids: set[Hashable] = set()
    tracks: set[Hashable] = set()
    for entry in content["annotations"]:
        if not isinstance(entry, dict):
            findings.append(Finding("bad-label", file, None, None, f"{str(entry)[:60]} is no annotation"))
            continue
        used[entry.get("category_id")] += 1
        if entry.get("id") in ids:
            findings.append(_finding("duplicate-id", file, entry, "another annotation has this id"))
        ids.add(entry.get("id"))
        track = (entry.get("image_id"), entry.get("track_id"))
        if track[1] is not None and track in tracks:
            findings.append(_finding("duplicate-id", file, entry, f"track {track[1]} is in this image twice"))
        tracks.add(track)
        faults, sane = _check_entry(entry, skeleton, known, box_needed)
        findings += [_finding(kind, file, entry, text) for kind, text in faults]
        if not sane:
            continue
        annotations.append(entry)
        if not entry.get("iscrowd", 0):
            suspicions, labelled = _check_visibility(entry, compare_counts)
            findings += [_finding(kind, file, entry, text) for kind, text in suspicions]
            unlabelled += labelled == 0
    findings += _check_categories(categories, used, file)
    if unlabelled:
        findings.append(
            Finding("no-keypoints", file, None, None, f"{unlabelled} people have no labelled keypoint")
        )
    return findings, {**content, "images": images, "annotations": annotations}


def _finding(kind: str, file: str, entry: Entry, text: str) -> Finding:
    return Finding(kind, file, entry.get("image_id"), entry.get("id"), text)


def _check_images(infos: list[Any], file: str, findings: list[Finding]) -> list[Entry]:
    kept: list[Entry] = []
    ids: set[Hashable] = set()
    names: set[str] = set()
    for info in infos:
        image_id = info.get("id", info.get("frame_id")) if isinstance(info, dict) else None
        if image_id is None or not isinstance(info.get("file_name"), str):
            findings.append(
                Finding("file", file, image_id, None, f"the image {str(info)[:60]} lacks its id or file_name")
            )
            continue
        if image_id in ids:
            findings.append(Finding("duplicate-id", file, image_id, None, "another image has this id"))
            continue
        if info["file_name"] in names:
            findings.append(
                Finding("duplicate-id", file, image_id, None, f"{info['file_name']} is also another image's")
            )
        ids.add(image_id)
        names.add(info["file_name"])
        kept.append(info)
    return kept


def _check_entry(
    entry: Entry, skeleton: Skeleton, known: set[Hashable], box_needed: bool
) -> tuple[list[tuple[str, str]], bool]:
    """Return faults as (kind, sentence), and whether a label can be made of the annotation."""
    faults, sane = [], True
    if entry.get("image_id") not in known:
        faults.append(("unknown-image", f"the file has no image {entry.get('image_id')}"))
        sane = False
    if "id" not in entry:
        faults.append(("bad-label", "the annotation has no id"))
        sane = False
    bbox = entry.get("bbox")
    if bbox is not None or box_needed:
        if not _are_numbers(bbox, 4):
            faults.append(("bad-box", f"the box {str(bbox)[:60]} is not four numbers x, y, width, height"))
            sane = False
        elif not (bbox[2] > 0 and bbox[3] > 0):  # type: ignore[index]
            faults.append(("bad-box", f"the box {bbox} has no extent"))
    values = entry.get("keypoints") or []
    if entry.get("iscrowd", 0) or not values:
        return faults, sane
    if not isinstance(values, list) or len(values) != 3 * skeleton.count:
        count = len(values) / 3 if isinstance(values, list) else 0
        faults.append(
            ("bad-label", f"{count:g} keypoints instead of the {skeleton.count} of {skeleton.name}")
        )
        return faults, False
    if not _are_numbers(values, len(values)):
        faults.append(("bad-label", "a keypoint is no finite number"))
        return faults, False
    wrong = [value for value in values[2::3] if value not in (0, 1, 2)]
    if wrong:
        faults.append(("bad-label", f"the visibility {wrong[0]} is none of 0, 1, 2"))
        return faults, False
    return faults, sane


def _check_visibility(entry: Entry, compare_counts: bool) -> tuple[list[tuple[str, str]], int]:
    """Return suspicions as (kind, sentence), and the number of labelled keypoints."""
    values = entry.get("keypoints") or []
    triples = list(zip(values[0::3], values[1::3], values[2::3]))
    labelled = sum(v > 0 for _, _, v in triples)
    suspicions = []
    hidden = sum(v == 0 and (x > 0 or y > 0) for x, y, v in triples)
    if hidden:
        suspicions.append(
            ("hidden-coordinates", f"{hidden} keypoints have coordinates but visibility 0: they are not used")
        )
    stated = entry.get("num_keypoints")
    if compare_counts and stated is not None and stated != labelled:
        suspicions.append(("wrong-count", f"num_keypoints is {stated}, labelled are {labelled}"))
    return suspicions, labelled


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    )


def _check_categories(known: set[Any], used: Counter[Hashable], file: str) -> list[Finding]:
    texts = []
    if known:
        texts += [
            f"{count} annotations have the category {category}, which the file does not describe"
            for category, count in used.items()
            if category is not None and category not in known
        ]
    if len(used) > 1:
        parts = ", ".join(f"{category} ({count})" for category, count in used.most_common())
        texts.append(f"annotations have several categories, all are read as people: {parts}")
    return [Finding("category", file, None, None, text) for text in texts]
