"""Top-down: one crop per given box, all crops of a frame in one batch."""

from typing import Generic

import numpy as np
from numpy.typing import ArrayLike

from engine.decode.bottom_up import merge_heatmaps
from engine.decode.single import decode_crops
from engine.estimator.flip import run_with_flip
from engine.estimator.heatmap_view import HeatmapView
from engine.geometry import pose_bbox
from engine.model import NetworkT
from engine.prepare import crop_people
from engine.structures import Float, Image, Person
from engine.timing import Stopwatch


class TopDownEstimator(Generic[NetworkT]):
    """Estimates the one person in each given box."""

    def __init__(self, model: NetworkT, *, flip_test: bool = False, min_keypoint_score: float = 0.2) -> None:
        self.model = model
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
        with watch.stage("prepare"):
            inputs, matrices = crop_people(image, boxes, self.model.spec)
        with watch.stage("infer"):
            outputs = run_with_flip(self.model, inputs) if self.flip_test else self.model.run(inputs)
        with watch.stage("decode"):
            spec = self.model.spec
            single = len(spec.heatmap_outputs) == 1
            heatmaps = outputs[spec.heatmap_outputs[0].name] if single else merge_heatmaps(outputs, spec)
            keypoints, scores = decode_crops(heatmaps, matrices, spec)
            if view is not None:
                view.add(heatmaps, matrices, spec.input_size, spec.convention)
            return [self._person(*pair) for pair in zip(keypoints, scores, strict=True)]

    def _person(self, keypoints: Float, scores: Float) -> Person:
        valid = scores >= self.min_keypoint_score
        score = float(scores[valid].sum() / max(valid.sum(), len(scores) / 2))
        if valid.sum() < 2:
            valid = np.ones_like(valid)
        return Person(keypoints, scores, pose_bbox(keypoints, valid).astype(np.float32), score)
