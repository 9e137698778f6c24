"""Open any data source as typed labels: one door for all formats, with errors that say what to set instead."""

from engine.errors import UsageError
from engine.skeleton import Skeleton
from train.data.coco import load_coco, read_split
from train.data.labels import ImageLabel
from train.settings import DataSource


def load_labels(source: DataSource, skeleton: Skeleton, *, side: str | None = "train") -> list[ImageLabel]:
    """Read the labels of a source.

    Args:
        source: what to read, and how.
        skeleton: whose keypoints the labels must have.
        side: side of `source.split` to keep; None, or a source without a split, keeps all.

    Raises:
        UsageError: a file is missing or is not what the source says.
    """
    if source.format != "coco":
        raise UsageError(f"format {source.format} cannot be read yet; take coco")
    ids = None if source.split is None or side is None else read_split(source.split, side)
    return load_coco(
        source.annotations,
        source.images,
        skeleton,
        image_ids=ids,
        min_teacher_agreement=source.min_teacher_agreement,
    )
