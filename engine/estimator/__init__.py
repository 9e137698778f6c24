"""Estimators: from a frame to the people in it, bottom-up, top-down, or top-down with a finder.

`BottomUpEstimator` and `TopDownEstimator` are for one picture; `open_estimator` makes what the pipeline
needs, which also knows the tracks.
"""

from engine.estimator.bottom_up import BottomUpEstimator
from engine.estimator.frame import FrameEstimator, open_estimator
from engine.estimator.top_down import TopDownEstimator

__all__ = ["BottomUpEstimator", "FrameEstimator", "TopDownEstimator", "open_estimator"]
