"""Check labelled data before a training run does: files, pictures, boxes, keypoints, left and right.

What is certainly wrong is an error; what is only unlikely is a suspicion. `train.data.findings` lists both.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.geometry import Size
from engine.skeleton import Skeleton
from train.data.check_entries import check_entries
from train.data.check_people import check_people
from train.data.check_pictures import Progress, check_pictures, find_unused
from train.data.coco import check_names, parse_coco, read_coco
from train.data.findings import KINDS, Finding
from train.data.labels import ImageLabel, count_people, picture_name, read_json
from train.data.posetrack import parse_posetrack
from train.data.sources import LOADERS, suggest_format
from train.settings import DataSource


@dataclass(frozen=True, slots=True, eq=False)
class DataReport:
    """What a check found, and over how much."""

    findings: tuple[Finding, ...]
    images: int
    people: int

    @property
    def errors(self) -> int:
        """Number of findings that are certainly wrong."""
        return sum(finding.is_error for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Kind to number of findings, in the order of `train.data.findings.KINDS`."""
        counted = Counter(finding.kind for finding in self.findings)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    @property
    def exit_code(self) -> int:
        """1 if there are errors, 0 if at most suspicions."""
        return 1 if self.errors else 0


def check_data(
    sources: Sequence[DataSource],
    skeleton: Skeleton,
    *,
    read_pictures: bool = True,
    progress: Progress | None = None,
) -> DataReport:
    """Check all pictures and labels of some sources, both sides of their splits.

    Args:
        sources: what to check.
        skeleton: whose keypoints the labels should have.
        read_pictures: decode every picture; otherwise only look whether it is there.
        progress: called with the numbers of pictures done and in all, anew for each file.

    Raises:
        UsageError: there is no source.
    """
    if not sources:
        raise UsageError("there is nothing to check; give a config, or annotations and images")
    findings: list[Finding] = []
    used: dict[Path, list[Path]] = {}
    images = people = 0
    for same in _by_place(sources):
        source = same[0]
        checked = _check_source(source, skeleton, findings, read_pictures, progress)
        used.setdefault(source.images, []).extend(label.path for label in checked)
        images, people = images + len(checked), people + count_people(checked)
        names = {picture_name(label.path, source.images) for label in checked}
        for split in dict.fromkeys(one.split for one in same if one.split is not None):
            findings += check_split(split, {label.image_id for label in checked} | names)
    for folder, paths in used.items():
        findings += find_unused(folder, paths)
    return DataReport(tuple(findings), images, people)


def _by_place(sources: Sequence[DataSource]) -> list[list[DataSource]]:
    """Put sources together that differ only in their split or weights: they are looked at once."""
    places: dict[tuple[str, Path, Path], list[DataSource]] = {}
    for source in sources:
        places.setdefault((source.format, source.annotations, source.images), []).append(source)
    return list(places.values())


def _check_source(
    source: DataSource,
    skeleton: Skeleton,
    findings: list[Finding],
    read_pictures: bool,
    progress: Progress | None,
) -> list[ImageLabel]:
    annotations = source.annotations
    files = sorted(annotations.glob("*.json")) if annotations.is_dir() else [annotations]
    if not files:
        findings.append(Finding("file", str(annotations), None, None, "the folder has no JSON files"))
    all_labels: list[ImageLabel] = []
    for path in files:
        try:
            labels, stated, found = _open(source, path, skeleton)
        except UsageError as error:
            hint = suggest_format(source, skeleton)
            text = str(error).removeprefix(f"{path}: ") + (f"; {hint}" if hint else "")
            findings.append(Finding("file", path.name, None, None, text))
            continue
        findings += found
        found, decoded = check_pictures(labels, stated, path.name, read=read_pictures, progress=progress)
        findings += found
        findings += check_people(
            labels, skeleton, path.name, {**stated, **decoded}, boxes_are_drawn=source.format != "mpii"
        )
        all_labels += labels
    return all_labels


def _open(
    source: DataSource, path: Path, skeleton: Skeleton
) -> tuple[list[ImageLabel], dict[int, Size], list[Finding]]:
    """Return the labels of a file, the sizes (height, width) that it states, and what is wrong in it."""
    if source.format in ("mpii", "folder"):
        return LOADERS[source.format](path, source.images, skeleton), {}, []
    content = read_coco(path)
    check_names(content, skeleton, path)
    _check_count(content, skeleton, path)
    posetrack = source.format == "posetrack"
    findings, content = check_entries(
        content, skeleton, path.name, compare_counts=source.format == "coco", box_needed=not posetrack
    )
    parse = parse_posetrack if posetrack else parse_coco
    labels = parse(content, path, source.images, skeleton)
    stated = {
        info.get("id", info.get("frame_id")): (info["height"], info["width"])
        for info in content["images"]
        if "height" in info and "width" in info
    }
    return labels, stated, findings


def _check_count(content: dict[str, Any], skeleton: Skeleton, path: Path) -> None:
    """Refuse a file of which no annotation fits the skeleton: one sentence instead of one for each."""
    lists = [entry.get("keypoints") for entry in content["annotations"] if isinstance(entry, dict)]
    counts = {len(values) // 3 for values in lists if isinstance(values, list) and values}
    if counts and skeleton.count not in counts:
        raise UsageError(
            f"{path}: its annotations have {min(counts)} keypoints, skeleton {skeleton.name!r} needs "
            f"{skeleton.count}"
        )


def check_split(path: Path, known: set[Any]) -> list[Finding]:
    """Look for images of a split file that are not in `known` (ids and file names), or on two sides."""
    try:
        content = read_json(path, "split file")
    except UsageError as error:
        return [Finding("split", path.name, None, None, str(error))]
    sides = {k: v for k, v in content.items() if isinstance(v, list)} if isinstance(content, dict) else {}
    findings = []
    for side, images in sides.items():
        unknown = [image for image in images if image not in known]
        if unknown:
            text = f"side {side!r} names {len(unknown)} images that are not there, such as {unknown[0]}"
            findings.append(Finding("split", path.name, None, None, text))
    counted = Counter(image for images in sides.values() for image in dict.fromkeys(images))
    twice = [image for image, count in counted.items() if count > 1]
    if twice:
        text = f"{len(twice)} images are on more than one side, such as {twice[0]}"
        findings.append(Finding("split", path.name, None, None, text))
    if not sides:
        findings.append(Finding("split", path.name, None, None, "the file has no lists of images"))
    return findings


def format_report(report: DataReport, *, per_kind: int | None = 20) -> str:
    """Return one line for each finding, by kind, and a table that counts them.

    Args:
        report: what to write.
        per_kind: at most this many lines for each kind; None writes all.
    """
    by_kind: dict[str, list[Finding]] = {kind: [] for kind in report.counts}
    for finding in report.findings:
        by_kind[finding.kind].append(finding)
    lines = []
    for kind, findings in by_kind.items():
        lines += [finding.line for finding in findings[:per_kind]]
        if per_kind is not None and len(findings) > per_kind:
            lines.append(f"… and {len(findings) - per_kind} more of {kind}")
    if lines:
        lines.append("")
    for kind, count in report.counts.items():
        is_error, meaning = KINDS[kind]
        lines.append(f"{count:>7}  {'error  ' if is_error else 'warning'}  {kind:18}  {meaning}")
    suspicions = len(report.findings) - report.errors
    lines.append(
        f"{report.images} pictures with {report.people} people: {report.errors} errors, {suspicions} warnings"
    )
    return "\n".join(lines)


def report_as_json(report: DataReport) -> str:
    """Return the report as JSON: images, people, errors, warnings, counts, findings."""
    return json.dumps(
        {
            "images": report.images,
            "people": report.people,
            "errors": report.errors,
            "warnings": len(report.findings) - report.errors,
            "counts": report.counts,
            "findings": [
                {
                    "kind": finding.kind,
                    "error": finding.is_error,
                    "file": finding.file,
                    "image_id": finding.image_id,
                    "annotation_id": finding.annotation_id,
                    "text": finding.text,
                }
                for finding in report.findings
            ],
        },
        indent=1,
    )
