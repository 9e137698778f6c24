"""Flip test: run the network on the picture and on its mirror image, and average the heatmaps."""

import numpy as np
from numpy.typing import NDArray

from engine.decode.peaks import flip_back
from engine.model import Network

Float = NDArray[np.float32]


def run_with_flip(model: Network, inputs: Float) -> dict[str, Float]:
    """Run a model on a batch and its mirror image.

    Mirrored heatmaps are turned back with left and right keypoints exchanged. In the ``hrnet`` convention
    heatmap index i lies on input pixel ``stride * i``, which mirroring moves by 3/4 of a heatmap px; as
    published (Sun et al. 2019), the mirrored maps of a top-down model are then shifted right by one.

    Args:
        model: any model.
        inputs: (N, 3, h, w) float32.

    Returns:
        As `Model.run`; heatmaps averaged, tags those of the unmirrored picture.
    """
    outputs = model.run(inputs)
    mirrored = model.run(np.ascontiguousarray(inputs[..., ::-1]))
    spec = model.spec
    shift = spec.kind == "top-down" and spec.convention == "hrnet"
    for output in spec.heatmap_outputs:
        turned_back = flip_back(mirrored[output.name], spec.skeleton.flip_index, shift=shift)
        outputs[output.name] = (outputs[output.name] + turned_back) * np.float32(0.5)
    return outputs
