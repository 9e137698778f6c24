"""What a check of data finds: one sentence each, of a kind that is an error or a suspicion."""

from dataclasses import dataclass

KINDS: dict[str, tuple[bool, str]] = {
    "file": (True, "files that are not what the source says"),
    "split": (True, "split files that name unknown images, or one on two sides"),
    "missing-image": (True, "pictures that do not exist"),
    "broken-image": (True, "pictures that are damaged or cut off"),
    "wrong-size": (True, "pictures of another size than the file says"),
    "bad-label": (True, "labels that are no numbers, too many or too few, or impossible"),
    "bad-box": (True, "boxes without extent, or wholly outside the picture"),
    "duplicate-id": (True, "ids that are there twice"),
    "duplicate-person": (True, "people who are labelled twice"),
    "unknown-image": (True, "annotations of images that the file does not list"),
    "category": (False, "annotations of an unknown category, or of several"),
    "box-outside": (False, "boxes of which a part is outside the picture"),
    "keypoint-outside": (False, "keypoints outside the picture"),
    "keypoint-far": (False, "keypoints far outside their person's box"),
    "limb-length": (False, "limbs too long for their person, or without length"),
    "left-right": (False, "left and right that contradict each other"),
    "hidden-coordinates": (False, "coordinates of keypoints that are marked as not labelled"),
    "wrong-count": (False, "people whose num_keypoints is not their number of labels"),
    "no-keypoints": (False, "people without a labelled keypoint, who are ignored"),
    "unused-image": (False, "pictures that no label names"),
}
"""Kind to whether it is an error, and what it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or looks so, with where it is; ids are None where it is about more than one."""

    kind: str
    file: str
    image_id: int | str | None
    annotation_id: int | str | None
    text: str

    @property
    def is_error(self) -> bool:
        """Whether this is certainly wrong."""
        return KINDS[self.kind][0]

    @property
    def line(self) -> str:
        """``file: image id, annotation id: sentence``."""
        where = []
        if self.image_id is not None:
            where.append(f"image {self.image_id}")
        if self.annotation_id is not None:
            where.append(f"annotation {self.annotation_id}")
        return ": ".join([self.file, *([", ".join(where)] if where else []), self.text])
