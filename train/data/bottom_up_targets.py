"""Heatmaps, loss weights and places of tags for the outputs of bottom-up networks."""

import math
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from engine.errors import UsageError
from engine.geometry import Convention, Size, input_to_heatmap
from train.data.labels import Float
from train.data.targets import gaussian_patches, paint_crowd, scale_aware_sigmas, tag_indices
from train.settings import Stage, TargetKind

Batch = dict[str, Tensor]
Sample = dict[str, NDArray]
STRIDES = (4, 2, 1)
"""Of the outputs of a network with up to two deconvolutions."""
TOLD = 0.02
"""Where a keypoint's Gaussian exceeds this, its label outweighs what hides the place."""


class BottomUpCollate:
    """Stack samples and paint heatmaps, loss weights and the places of tags for each output of the network.

    ``gaussian`` is as published: Gaussians at whole px, no loss in ignored regions, full loss everywhere
    else. Otherwise a keypoint without label has no loss inside its person's box, and a keypoint with one has
    the loss of its weight even in an ignored region.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        targets: TargetKind = "unbiased",
        convention: Convention = "half-pixel",
        tag_losses: Sequence[bool] = (True, False),
        tag_per_keypoint: bool = True,
        max_people: int = 30,
        scale_aware_base_px: float | None = None,
        scale_aware_range: tuple[float, float] | None = None,
    ) -> None:
        if len(tag_losses) > len(STRIDES):
            raise UsageError(
                f"a bottom-up network has at most {len(STRIDES)} outputs, of strides 4, 2 and 1; "
                f"tag_losses has {len(tag_losses)} values"
            )
        self.stage, self.targets = stage, targets
        self.convention: Convention = convention
        self.tag_losses, self.tag_per_keypoint = tuple(tag_losses), tag_per_keypoint
        self.max_people, self.scale_aware_base_px = max_people, scale_aware_base_px
        self.scale_aware_range = scale_aware_range

    def __call__(self, samples: list[Sample]) -> Batch:
        """Return image (B, 3, h, w) uint8 and for each output's stride s heatmaps_s, mask_s (B, K, h/s, w/s).

        Outputs with tags add indices_s (B, max_people, K, 2) int64 of `targets.tag_indices`.
        """
        images = np.stack([sample["image"] for sample in samples])
        batch: Batch = {"image": torch.from_numpy(images).permute(0, 3, 1, 2)}
        height, width = self.stage.input_size
        count = samples[0]["weights"].shape[1]
        outputs = zip(STRIDES, self.stage.sigmas(len(self.tag_losses)), self.tag_losses, strict=False)
        for stride, heatmap_sigma, has_tags in outputs:
            size = (height // stride, width // stride)
            heatmaps, masks = (_allocate((len(samples), count, *size)) for _ in range(2))
            maps, mask = heatmaps.numpy(), masks.numpy()
            mask.fill(1)
            places = [
                input_to_heatmap(sample["points"], size, (height, width), self.convention).astype(np.float32)
                for sample in samples
            ]
            for index, sample in enumerate(samples):
                self._paint(maps[index], mask[index], sample, places[index], stride, heatmap_sigma)
            batch[f"heatmaps_{stride}"] = heatmaps
            batch[f"mask_{stride}"] = masks
            if has_tags:
                batch[f"indices_{stride}"] = torch.from_numpy(self._indices(samples, places, size))
        return batch

    def _paint(
        self, maps: Float, mask: Float, sample: Sample, places: Float, stride: int, heatmap_sigma: float
    ) -> None:
        size = cast(Size, maps.shape[1:])
        weights = sample["weights"]
        _hide(mask, sample, stride, whole_boxes_only=self.targets == "gaussian")
        sigmas = np.full(len(weights), heatmap_sigma, np.float32)
        if self.scale_aware_base_px is not None:
            sigmas = scale_aware_sigmas(
                sample["extents"], self.scale_aware_base_px, heatmap_sigma, self.scale_aware_range
            )
            if self.scale_aware_range is not None:
                weights = weights * (heatmap_sigma / sigmas)[:, None]
        people, keypoints = np.nonzero(weights > 0)
        if self.targets == "gaussian":
            paint_crowd(maps, places, weights, np.broadcast_to(sigmas[:, None], weights.shape))
            doubtful = weights[people, keypoints] != 1
            people, keypoints = people[doubtful], keypoints[doubtful]
        patches = gaussian_patches(places[people, keypoints], sigmas[people], size)
        for keypoint, weight, (rows, columns, patch) in zip(
            keypoints.tolist(), weights[people, keypoints].tolist(), patches, strict=True
        ):
            told = mask[keypoint, rows, columns]
            if self.targets == "gaussian":
                np.multiply(told, weight, out=told, where=patch > TOLD)
                continue
            region = maps[keypoint, rows, columns]
            np.maximum(region, patch, out=region)
            np.copyto(told, weight, where=patch > TOLD)

    def _indices(self, samples: list[Sample], places: list[Float], size: Size) -> NDArray[np.int64]:
        """Return (B, max_people, K, 2); tags lie under the whole px that the heatmap peaks at."""
        cut = np.asarray if self.targets == "gaussian" else np.round
        return np.stack(
            [
                tag_indices(
                    cut(points),
                    sample["weights"],
                    size,
                    self.max_people,
                    tag_per_keypoint=self.tag_per_keypoint,
                )
                for sample, points in zip(samples, places, strict=True)
            ]
        )


def _allocate(shape: tuple[int, ...]) -> Tensor:
    """Return zeros, float32; in a worker process where the trainer can read them without another copy."""
    if get_worker_info() is None:
        return torch.zeros(shape)
    # As torch's own collate does it: memory that is shared from the start, which the system gives as zeros.
    storage = torch.UntypedStorage._new_shared(4 * math.prod(shape))
    return torch.empty(0).set_(storage).reshape(shape)


def _hide(mask: Float, sample: Sample, stride: int, *, whole_boxes_only: bool) -> None:
    """Put 0 into a (K, h/s, w/s) mask where nothing may be said."""
    ignored = sample["ignored"]
    if ignored.size:
        share = cv2.resize(ignored.astype(np.float32), mask.shape[:0:-1], interpolation=cv2.INTER_AREA)
        mask[:, share > 0.5] = 0
    for row in sample["unknown"]:
        if row[0] >= 0 and whole_boxes_only:
            continue
        x1, y1, x2, y2 = (row[1:] / stride).round().astype(int)
        mask[slice(None) if row[0] < 0 else int(row[0]), y1:y2, x1:x2] = 0
