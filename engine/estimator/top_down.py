"""Top-down: one crop per given box, all crops of a frame in one batch."""

from typing import Generic

import numpy as np
from numpy.typing import ArrayLike

from engine.device.frames import FrameRing
from engine.estimator.crop_reader import CropReader, DeviceCropReader, HostCropReader
from engine.estimator.device_path import DevicePath
from engine.estimator.heatmap_view import HeatmapView
from engine.geometry import pose_bbox
from engine.model import NetworkT
from engine.structures import Float, Image, Person
from engine.timing import Stopwatch


class TopDownEstimator(Generic[NetworkT]):
    """Estimates the one person in each given box.

    A network on a device is fed and decoded there as well. ring: brings frames to that device, shared with
    others; None for an own one, which `release` frees.
    """

    def __init__(
        self,
        model: NetworkT,
        *,
        flip_test: bool = False,
        min_keypoint_score: float = 0.2,
        ring: FrameRing | None = None,
    ) -> None:
        self.model = model
        self._host: CropReader = HostCropReader(model)
        self._device: DevicePath[CropReader] = DevicePath(model, ring, DeviceCropReader)
        self.flip_test = flip_test
        self.min_keypoint_score = min_keypoint_score

    def estimate(
        self,
        image: Image,
        bboxes: ArrayLike,
        watch: Stopwatch | None = None,
        view: HeatmapView | None = None,
    ) -> list[Person]:
        """Return one person per box, in the order of the boxes, dropping none.

        A person's score is the mean score of the keypoints that reach `min_keypoint_score`, counted as
        at least half of K, so that half a body in the frame is not held against a person. Its box surrounds
        these keypoints, or all where fewer than two reach it.

        Args:
            image: (H, W, 3) uint8 BGR.
            bboxes: (N, 4) xyxy frame px, around the person without margin; N may be 0.
            watch: is charged with `prepare`, `infer` and `decode`.
            view: of this picture, gets the crops' heatmaps painted in.

        Raises:
            ValueError: a box is empty or not finite.
        """
        watch = watch or Stopwatch()
        boxes = np.asarray(bboxes, np.float64).reshape(-1, 4)
        bad = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        if bad.any():
            raise ValueError(f"boxes must be xyxy with x1 < x2 and y1 < y2, got {boxes[bad][0].tolist()}")
        if len(boxes) == 0:
            return []
        reader = self._device.reader(flip_test=self.flip_test) or self._host
        picture = self._device.picture(image)
        keypoints, scores = reader.read(picture, boxes, watch, view, flip_test=self.flip_test)
        with watch.stage("decode"):
            return [self._person(*pair) for pair in zip(keypoints, scores, strict=True)]

    def release(self) -> None:
        """Free what is held on a device besides the model, which stays open."""
        self._device.release()

    def _person(self, keypoints: Float, scores: Float) -> Person:
        valid = scores >= self.min_keypoint_score
        count = valid.sum()
        score = float(scores[valid].sum() / max(count, len(scores) / 2))
        if count < 2:
            valid = np.ones_like(valid)
        return Person(keypoints, scores, pose_bbox(keypoints, valid).astype(np.float32), score)
