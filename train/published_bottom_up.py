"""Bottom-up as the papers measure it: several scales, the mirrored picture, the published grouping.

Cheng et al. 2020, lib/core/inference.py and tools/valid.py. The engine's own `BottomUpEstimator` is what
ships; this is what published accuracies of HigherHRNet compare with. Legend: K keypoints, L tag length,
H×W heatmap.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.decode.bottom_up import merge_heatmaps
from engine.decode.peaks import flip_back
from engine.decode.published import parse_people
from engine.errors import UsageError
from engine.geometry import Size, crop_matrix, invert_matrix, multi_scale_size, pose_bbox, transform_points
from engine.model import Network
from engine.prepare import warp_into
from engine.structures import Image, Person

Float = NDArray[np.float32]


def estimate_published(
    network: Network,
    image: Image,
    *,
    flip_test: bool = False,
    scales: Sequence[float] = (1.0,),
    max_people: int = 30,
) -> list[Person]:
    """Find the people of one picture.

    Heatmaps of all outputs, scales and both mirror images are averaged at the size of the network's input at
    scale 1; tags are those of scale 1, the mirrored picture's beside the plain one's.

    Args:
        network: bottom-up, of dynamic size.
        image: (H, W, 3) uint8 BGR.
        flip_test: look at the mirrored picture too.
        scales: shares of the network's short side; 1 must be among several.
        max_people: at most this many peaks per keypoint.

    Returns:
        People, not sorted. Scores are the means over all keypoints before gaps are filled, clipped to [0, 1].

    Raises:
        UsageError: the network has a fixed size or no tags, or scale 1 is missing.
    """
    spec = network.spec
    if not spec.dynamic_size or not spec.tag_outputs:
        raise UsageError(
            f"the published bottom-up test needs a network of dynamic size with tags, {spec.name} is none; "
            "use --decoder engine"
        )
    if min(scales) <= 0 or (len(scales) > 1 and 1.0 not in scales):
        raise UsageError(
            f"scales must be positive, and 1 among several, since it gives the tags; got {scales}"
        )
    frame_size: Size = (image.shape[0], image.shape[1])
    short_side, least = min(spec.input_size), min(scales)
    base_size, _, _ = multi_scale_size(frame_size, short_side, 1.0, least)
    total: Float | None = None
    tags: Float | None = None
    for scale in sorted(scales, reverse=True):
        size, centre, region = multi_scale_size(frame_size, short_side, scale, least)
        if any(side % 32 for side in size):
            raise UsageError(f"scale {scale:g} makes an input of {size}, no multiples of 32; choose another")
        inputs = np.empty((1, 3, *size), np.float32)
        warp_into(inputs[0], image, crop_matrix(centre, region, size, convention="hrnet"), spec)
        heatmaps, embedding = _run(network, inputs, base_size, flip_test=flip_test)
        total = heatmaps if total is None else total + heatmaps
        if scale == 1.0 or len(scales) == 1:
            tags = embedding
    assert total is not None and tags is not None
    people, scores = parse_people(
        total / np.float32(len(scales)), tags, max_people=max_people, min_peak_score=spec.min_peak_score
    )
    # The place of the last, smallest scale, as published; `region` differs from that of the base by rounding.
    back = invert_matrix(crop_matrix(centre, region, base_size, convention="hrnet"))
    return [_person(rows, back, score) for rows, score in zip(people, scores.tolist(), strict=True)]


def _run(network: Network, inputs: Float, base_size: Size, *, flip_test: bool) -> tuple[Float, Float]:
    """Return heatmaps (K, H, W) and tags (K or 1, H, W, L) at `base_size`."""
    spec = network.spec
    outputs = network.run(inputs)
    names = [output.name for output in spec.tag_outputs]
    merged = merge_heatmaps(outputs, spec)
    fine: Size = (merged.shape[2], merged.shape[3])
    heatmaps = _project(merged[0], base_size)
    # In two steps, as published: to the finest output, then to the input.
    tags = [_project(_project(outputs[name][0], fine), base_size) for name in names]
    if flip_test:
        mirrored = network.run(np.ascontiguousarray(inputs[..., ::-1]))
        index = spec.skeleton.flip_index
        turned = flip_back(merge_heatmaps(mirrored, spec), index)
        heatmaps = (heatmaps + _project(turned[0], base_size)) * np.float32(0.5)
        for name in names:
            maps = mirrored[name]
            order = index if maps.shape[1] > 1 else np.zeros(1, np.int64)
            tags.append(_project(_project(flip_back(maps, order)[0], fine), base_size))
    return heatmaps, np.stack(tags, axis=-1)


def _project(maps: Float, size: Size) -> Float:
    """Resize (K, H, W) maps bilinearly with pixel centres honoured."""
    resized = [cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for plane in maps]
    return np.stack(resized).astype(np.float32, copy=False)


def _person(rows: Float, back: NDArray[np.float64], score: float) -> Person:
    """Build a person of (K, 3 + L) rows at heatmap px."""
    keypoints = transform_points(back, rows[:, :2]).astype(np.float32)
    scores = rows[:, 2].clip(0, 1)
    bbox = pose_bbox(keypoints, scores > 0).astype(np.float32)
    return Person(keypoints, scores, bbox, min(max(score, 0.0), 1.0))
