"""Calibration inputs of the bundled clip, decoded once per test process."""

from functools import cache

import numpy as np

from assets import models_dir
from engine.model_file import read_spec
from engine.runtime.calibration import Calibration

READ = Calibration.inputs
"""As it is, also within a test that puts these inputs in its place."""


@cache
def demo_inputs(name: str) -> tuple[np.ndarray, ...]:
    """Inputs (1, 3, h, w) for a bundled model; not to be written to."""
    inputs = READ(Calibration(), read_spec(models_dir() / f"{name}.onnx"))
    for item in inputs:
        item.flags.writeable = False
    return tuple(inputs)
