"""Look for labels that cannot be or hardly can be: boxes, keypoints, limbs, doubles, left and right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.geometry import Size
from engine.skeleton import Skeleton
from engine.tracking.oks import oks_matrix
from train.data.findings import Finding
from train.data.labels import ImageLabel

SAME_PERSON_OKS = 0.95
MIN_SHARED_KEYPOINTS = 4
FAR_SHARE = 0.25
"""A keypoint is far from its box if it is this share of the box's longer side outside."""
OUTSIDE_SHARE = 0.1
"""A box is reported if this share of its area is outside the picture."""
LONG_LIMB = 1.5
"""A limb is long if it is this many times the 99th percentile of its kind, both relative to the person."""
MIN_PEOPLE_FOR_LIMBS = 100

SIDES: tuple[tuple[tuple[str, str, float], tuple[str, str, float]], ...] = (
    (("left_shoulder", "right_shoulder", 0.12), ("left_hip", "right_hip", 0.12)),
    (("left_eye", "right_eye", 0.03), ("left_shoulder", "right_shoulder", 0.12)),
    (("left_ear", "right_ear", 0.04), ("left_shoulder", "right_shoulder", 0.12)),
)
"""Axes from right to left that hardly ever oppose each other, each with the length, in person sizes (square
roots of the box area), from which on it says something.

Measured on LSP, LSPET and PARSE: with left and right exchanged on purpose, 73 % (upper half), 60 % (legs) and
62 % (all but the face) of 7,168 people with trusted labels are reported, as labelled 0.9 %, in part real
faults; of 135 bodies in which both of two teachers had found an exchange, 113."""
OPPOSED_COSINE = -0.5


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """All people of a source: keypoints (N, K, 2) px, labelled (N, K), bbox (N, 4) xyxy px, their image and
    annotation ids (N,), and the picture's width and height (N, 2), NaN where nobody knows it."""

    keypoints: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    bbox: NDArray[np.float64]
    image_ids: list[int]
    annotation_ids: list[int]
    picture: NDArray[np.float64]

    @property
    def size(self) -> NDArray[np.float64]:
        """(N,) square roots of the box areas."""
        return np.sqrt(np.maximum((self.bbox[:, 2:] - self.bbox[:, :2]).prod(axis=1), 1.0))


def stack_people(labels: Sequence[ImageLabel], sizes: Mapping[int, Size]) -> People:
    """Put all people of all images into arrays; `sizes` maps image ids to (height, width)."""
    pairs = [(label.image_id, person) for label in labels for person in label.people]
    unknown = (np.nan, np.nan)
    count = pairs[0][1].keypoints.shape[0] if pairs else 0
    return People(
        keypoints=np.array([p.keypoints for _, p in pairs], np.float64).reshape(len(pairs), count, 2),
        labelled=np.array([p.visibility > 0 for _, p in pairs], bool).reshape(len(pairs), count),
        bbox=np.array([p.bbox for _, p in pairs], np.float64).reshape(-1, 4),
        image_ids=[image_id for image_id, _ in pairs],
        annotation_ids=[person.annotation_id for _, person in pairs],
        picture=np.array([sizes.get(i, unknown)[::-1] for i, _ in pairs], np.float64).reshape(-1, 2),
    )


def check_people(
    labels: Sequence[ImageLabel],
    skeleton: Skeleton,
    file: str,
    sizes: Mapping[int, Size],
    *,
    boxes_are_drawn: bool = True,
) -> list[Finding]:
    """Check the people of a source.

    Args:
        labels: its images.
        skeleton: what their keypoints are.
        file: name of the annotation file, for the findings.
        sizes: image id to (height, width), where known.
        boxes_are_drawn: whether boxes were drawn around people; MPII's follow from a scale.
    """
    people = stack_people(labels, sizes)
    if not people.image_ids:
        return []
    found = (
        _check_keypoints(people, skeleton) + _check_limbs(people, skeleton) + _check_sides(people, skeleton)
    )
    found += _find_doubles(people, skeleton)
    if boxes_are_drawn:
        found += _check_boxes(people) + _check_distances(people, skeleton)
    found.sort(key=lambda item: item[0])
    return [
        Finding(kind, file, people.image_ids[index], people.annotation_ids[index], text)
        for index, kind, text in found
    ]


Found = list[tuple[int, str, str]]


def _check_boxes(people: People) -> Found:
    low, high = people.bbox[:, :2], people.bbox[:, 2:]
    area = (high - low).prod(axis=1)
    inside = np.clip(np.minimum(high, people.picture) - np.maximum(low, 0), 0, None).prod(axis=1)
    found: Found = []
    for index in np.flatnonzero((area > 0) & (inside < (1 - OUTSIDE_SHARE) * area)):
        box = np.round(people.bbox[index], 1).tolist()
        if inside[index] <= 0:
            found.append((int(index), "bad-box", f"the box {box} is wholly outside the picture"))
        else:
            share = 1 - inside[index] / area[index]
            found.append((int(index), "box-outside", f"{share:.0%} of the box {box} are outside the picture"))
    return found


def _check_keypoints(people: People, skeleton: Skeleton) -> Found:
    excess = np.maximum(-1 - people.keypoints, people.keypoints - people.picture[:, None]).max(axis=-1)
    excess = np.where(people.labelled, np.nan_to_num(excess, nan=-1.0), -1.0)
    limit = np.nan_to_num(people.picture.max(axis=1), nan=np.inf)
    found: Found = []
    for index in np.flatnonzero((excess > 0).any(axis=1)):
        worst = int(excess[index].argmax())
        x, y = people.keypoints[index, worst].round(1).tolist()
        width, height = people.picture[index].astype(int).tolist()
        text = (
            f"{skeleton.keypoints[worst]} at ({x:g}, {y:g}) is outside the picture of {width} × {height} px"
        )
        others = int((excess[index] > 0).sum()) - 1
        text += f", and {others} more keypoints" if others else ""
        impossible = excess[index, worst] > limit[index]
        found.append((int(index), "bad-label" if impossible else "keypoint-outside", text))
    return found


def _distance_share(people: People) -> NDArray[np.float64]:
    """(N, K) how far keypoints are outside their box, in longer sides of it; -1 where there is no label."""
    low, high = people.bbox[:, None, :2], people.bbox[:, None, 2:]
    away = np.maximum(low - people.keypoints, people.keypoints - high).max(axis=-1)
    return np.where(people.labelled, away / np.maximum((high - low).max(axis=-1), 1.0), -1.0)


def _check_distances(people: People, skeleton: Skeleton) -> Found:
    share = _distance_share(people)
    found: Found = []
    for index in np.flatnonzero((share > FAR_SHARE).any(axis=1)):
        worst = int(share[index].argmax())
        text = f"{skeleton.keypoints[worst]} is {share[index, worst]:.0%} of the box's longer side outside it"
        found.append((int(index), "keypoint-far", text))
    return found


def _check_limbs(people: People, skeleton: Skeleton) -> Found:
    boxed = _distance_share(people).max(axis=1) <= FAR_SHARE  # Others have no size to compare with.
    found: Found = []
    for first, second in skeleton.limbs:
        both = np.flatnonzero(people.labelled[:, first] & people.labelled[:, second])
        length = np.linalg.norm(people.keypoints[both, first] - people.keypoints[both, second], axis=-1)
        relative = length / people.size[both]
        name = f"{skeleton.keypoints[first]}–{skeleton.keypoints[second]}"
        if len(both) >= MIN_PEOPLE_FOR_LIMBS:
            limit = LONG_LIMB * float(np.percentile(relative, 99))
            for place in np.flatnonzero((relative > limit) & boxed[both]):
                text = (
                    f"{name} is {length[place]:.0f} px long, {relative[place] / limit * LONG_LIMB:.1f} times "
                )
                text += "what one in a hundred is longer than"
                found.append((int(both[place]), "limb-length", text))
        if skeleton.flip_index[first] == second:
            continue  # Hips and shoulders seen from the side do lie on one another.
        for place in np.flatnonzero((length == 0) & (people.size[both] > 64)):
            found.append(
                (int(both[place]), "limb-length", f"{name} has no length: both ends are at one place")
            )
    return found


def _check_sides(people: People, skeleton: Skeleton) -> Found:
    found: Found = []
    for (left, right, length), (other_left, other_right, other_length) in SIDES:
        names = (left, right, other_left, other_right)
        if not all(name in skeleton.keypoints for name in names):
            continue
        a, b, c, d = (skeleton.keypoints.index(name) for name in names)
        first = people.keypoints[:, a] - people.keypoints[:, b]
        second = people.keypoints[:, c] - people.keypoints[:, d]
        first_length, second_length = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        cosine = (first * second).sum(axis=1) / np.maximum(first_length * second_length, 1e-9)
        applies = people.labelled[:, [a, b, c, d]].all(axis=1)
        applies &= (first_length > length * people.size) & (second_length > other_length * people.size)
        parts = left.removeprefix("left_") + "s", other_left.removeprefix("left_") + "s"
        for index in np.flatnonzero(applies & (cosine < OPPOSED_COSINE)):
            text = (
                f"{parts[0]} and {parts[1]} point opposite ways: left and right of one of them may be swapped"
            )
            found.append((int(index), "left-right", text))
    return found


def _find_doubles(people: People, skeleton: Skeleton) -> Found:
    """Find people of one image whose shared keypoints agree."""
    by_image: dict[int, list[int]] = {}
    for index, image_id in enumerate(people.image_ids):
        by_image.setdefault(image_id, []).append(index)
    needed = min(MIN_SHARED_KEYPOINTS, skeleton.count)
    found: Found = []
    for indices in by_image.values():
        if len(indices) < 2:
            continue
        keypoints, labelled = people.keypoints[indices], people.labelled[indices]
        shared = labelled[:, None] & labelled[None]
        oks = oks_matrix(keypoints, keypoints, skeleton.sigmas, 0.53 * people.size[indices] ** 2, shared)
        same = (oks > SAME_PERSON_OKS) & (shared.sum(axis=-1) >= needed)
        for first, second in np.argwhere(np.triu(same | same.T, 1)):
            text = f"annotation {people.annotation_ids[indices[first]]} labels the same person"
            found.append((indices[second], "duplicate-person", text))
    return found
