"""Bottom-up grouping exactly as published with HigherHRNet (Cheng et al. 2020, lib/core/group.py).

`parse_people` is what published accuracies were measured with. Our own pipeline, `decode.bottom_up`, shares
the peaks and the grouping, but fills gaps from weak peaks instead of searching whole maps per person.
Legend: K keypoints, P people, L tag length, H×W heatmap.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.grouping import Float, Index, find_peaks, group_peaks


def parse_people(
    heatmaps: Float,
    tags: Float,
    *,
    max_people: int = 30,
    min_peak_score: float = 0.1,
    nms_kernel: int = 5,
    tag_threshold: float = 1.0,
    use_scores: bool = True,
    ignore_too_much: bool = False,
    adjust: bool = True,
    refine: bool = True,
) -> tuple[Float, Float]:
    """Find and group peaks, shift them by a quarter px, fill the gaps.

    Args:
        heatmaps: (K, H, W) float32.
        tags: (K or 1, H, W) or (K or 1, H, W, L) float32, of the same size.
        max_people: see `grouping.find_peaks` and `grouping.group_peaks`, as for the next five.
        min_peak_score: see above.
        nms_kernel: see above.
        tag_threshold: see above.
        use_scores: see above; published as USE_DETECTION_VAL.
        ignore_too_much: see above.
        adjust: apply `adjust_people`.
        refine: apply `refine_person` to everybody.

    Returns:
        people (P, K, 3 + L) float32: x, y heatmap px, score, tag (zero for filled keypoints); scores (P,)
        float32, the mean over all K before gaps are filled.
    """
    tags = np.asarray(tags, np.float32)
    peaks = find_peaks(
        heatmaps, tags, max_people=max_people, min_peak_score=min_peak_score, nms_kernel=nms_kernel
    )
    people = group_peaks(
        peaks,
        min_peak_score=min_peak_score,
        tag_threshold=tag_threshold,
        max_people=max_people,
        use_scores=use_scores,
        ignore_too_much=ignore_too_much,
    )
    scores = people[:, :, 2].mean(axis=1)
    if adjust:
        people = adjust_people(people, heatmaps)
    if refine and len(people):
        people = np.stack([refine_person(person, heatmaps, tags) for person in people])
    return people, scores


def adjust_people(people: Float, heatmaps: Float) -> Float:
    """Shift keypoints with a positive score to the quarter px.

    Args:
        people: (P, K, 3 + L) at whole heatmap px.
        heatmaps: (K, H, W) float32.

    Returns:
        A copy of `people` with x and y moved by `quarter_shift`.
    """
    people = people.copy()
    person, keypoint = np.nonzero(people[:, :, 2] > 0)
    places = people[person, keypoint, :2].astype(np.intp)
    people[person, keypoint, :2] = places + quarter_shift(heatmaps, keypoint, places)
    return people


def quarter_shift(heatmaps: Float, channels: Index, peaks: Index) -> Float:
    """Return (n, 2) steps of 0.5 ± 0.25 heatmap px toward the higher neighbour, the lower side on ties.

    Half a px undoes the floor in the targets. At a border the peak is its own neighbour.

    Args:
        heatmaps: (K, H, W) float32. channels: (n,) maps. peaks: (n, 2) x, y whole heatmap px.
    """
    height, width = heatmaps.shape[1:]
    x, y = peaks.T
    right = heatmaps[channels, y, np.minimum(x + 1, width - 1)] > heatmaps[channels, y, np.maximum(x - 1, 0)]
    below = heatmaps[channels, np.minimum(y + 1, height - 1), x] > heatmaps[channels, np.maximum(y - 1, 0), x]
    return np.where(np.stack([right, below], axis=1), np.float32(0.75), np.float32(0.25))


def refine_person(person: Float, heatmaps: Float, tags: Float) -> Float:
    """Fill every keypoint of score 0 with the px that is high and whose tag is near the person's.

    The px is the first maximum of ``heatmap - round(tag distance)``, moved by `quarter_shift`; it stands if
    the heatmap is positive there.

    Args:
        person: (K, 3 + L), at least one keypoint with a positive score.
        heatmaps: (K, H, W) float32.
        tags: (K or 1, H, W) or (K or 1, H, W, L) float32.

    Returns:
        (K, 3 + L), a copy; the tags of filled keypoints stay zero.
    """
    filled = person.copy()
    tags = tags[..., None] if tags.ndim == 3 else tags
    mean = person[person[:, 2] > 0, 3:].mean(axis=0)
    for keypoint in np.flatnonzero(person[:, 2] == 0):
        heatmap, tag = heatmaps[keypoint], tags[keypoint if len(tags) > 1 else 0]
        distance: NDArray[np.float32] = np.sqrt(((tag - mean) ** 2).sum(axis=2))
        y, x = np.unravel_index(int((heatmap - np.round(distance)).argmax()), heatmap.shape)
        if heatmap[y, x] > 0:
            place = np.array([[x, y]])
            filled[keypoint, :2] = (place + quarter_shift(heatmaps, np.array([keypoint]), place))[0]
            filled[keypoint, 2] = heatmap[y, x]
    return filled
