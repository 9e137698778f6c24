"""From a checkpoint to a model file: ONNX with its `ModelSpec`, then a parity check against torch.

What is exported is the averaged network with the activation that its loss was trained for, so that every
heatmap of a model file is in [0, 1].
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import ModelFileError
from engine.geometry import Size
from engine.model_file import HeatmapOutput, ModelSpec, TagOutput, file_sha256, read_spec, write_spec
from engine.skeleton import SKELETONS
from train.checkpoint import read_checkpoint
from train.losses import place_tags
from train.models import build_model
from train.settings import TrainSettings
from train.trainer import IMAGENET_MEAN, IMAGENET_STD

log = logging.getLogger(__name__)

OPSET = 20
PARITY_TOLERANCE = 2e-3
"""Largest difference of a heatmap or tag value between torch and ONNX Runtime, both float32."""
FOCAL_PEAK_SCORE = 0.25
"""Weakest peak of a bottom-up network trained with the focal loss, whose background is less close to zero."""


class HeatmapNetwork(nn.Module):
    """A network with the outputs of a model file.

    top-down: heatmaps (B, K, h/4, w/4). bottom-up: heatmaps_0 (B, K, H/4, W/4), tags_0 (B, K, H/4, W/4),
    heatmaps_1 (B, K, H/2, W/2). Heatmaps pass a sigmoid if they were trained under one; tags carry
    their position if they were trained so.
    """

    def __init__(self, network: nn.Module, kind: str, *, sigmoid: bool, tag_unit_px: float = 0.0) -> None:
        super().__init__()
        self.network, self.kind, self.sigmoid, self.tag_unit_px = network, kind, sigmoid, tag_unit_px

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of the class's text."""
        outputs = self.network(image)
        if self.kind == "top-down":
            return (self._activate(outputs),)
        keypoints = outputs[1].shape[1]
        maps, tags = outputs[0][:, :keypoints], outputs[0][:, keypoints:]
        if self.tag_unit_px > 0:
            tags = place_tags(tags, self.tag_unit_px)
        return self._activate(maps), tags, self._activate(outputs[1])

    def _activate(self, maps: Tensor) -> Tensor:
        return maps.sigmoid() if self.sigmoid else maps


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """A trained network that estimators can run like a model file.

    run takes (N, 3, h, w) float32 normalised input and returns arrays by output name.
    """

    spec: ModelSpec
    module: HeatmapNetwork

    @torch.inference_mode()
    def run(self, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network in float32."""
        images = torch.from_numpy(np.ascontiguousarray(inputs)).to(memory_format=torch.channels_last)
        names = output_names(self.spec)
        return {name: maps.float().numpy() for name, maps in zip(names, self.module(images), strict=True)}


def output_names(spec: ModelSpec) -> list[str]:
    """Return the names of a model file's outputs in the order of `HeatmapNetwork.forward`."""
    return ["heatmaps"] if spec.kind == "top-down" else ["heatmaps_0", "tags_0", "heatmaps_1"]


def make_spec(
    settings: TrainSettings,
    *,
    input_size: Size | None = None,
    accuracy: Mapping[str, float] | None = None,
    checkpoint_sha256: str = "",
    training_data: str = "",
    licence: str = "Apache-2.0",
) -> ModelSpec:
    """Describe the network that `settings` train, at the size and sigma of the last stage."""
    stage = settings.stages[-1]
    top_down = settings.kind == "top-down"
    return ModelSpec(
        name=settings.name,
        architecture=settings.architecture,
        kind=settings.kind,
        input_name="image",
        input_size=input_size or stage.input_size,
        dynamic_size=not top_down,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        heatmap_outputs=(
            (HeatmapOutput(name="heatmaps", stride=4),)
            if top_down
            else (HeatmapOutput(name="heatmaps_0", stride=4), HeatmapOutput(name="heatmaps_1", stride=2))
        ),
        tag_outputs=() if top_down else (TagOutput(name="tags_0", stride=4),),
        convention="half-pixel",
        decoder="dark",
        heatmap_sigma=stage.sigmas(1)[-1],
        min_peak_score=0.1 if top_down or settings.loss != "cross-entropy+focal" else FOCAL_PEAK_SCORE,
        skeleton=SKELETONS[settings.skeleton],
        licence=licence,
        training_data=training_data or ", ".join(source.annotations.stem for source in settings.data),
        accuracy=dict(accuracy or {}),
        checkpoint_sha256=checkpoint_sha256,
    )


def load_trained(
    checkpoint: Path, settings: TrainSettings | None = None
) -> tuple[TrainedNetwork, TrainSettings]:
    """Open a checkpoint of `train.trainer` with its averaged weights.

    Args:
        checkpoint: `last.pt`, `best.pt` or `final.pt` of a run.
        settings: the run's settings; None takes those kept in the checkpoint.

    Raises:
        ModelFileError: the file is missing or is not a checkpoint of this trainer.
    """
    state = read_checkpoint(checkpoint)
    if not isinstance(state, dict) or not {"config", "ema"} <= state.keys():
        raise ModelFileError(
            f"{checkpoint} is not a checkpoint of `python -m train fit`; give last.pt, best.pt or final.pt"
        )
    config, weights = state["config"], state["ema"]
    settings = settings or TrainSettings.model_validate(json.loads(config))
    network = build_model(settings.architecture, keypoints=SKELETONS[settings.skeleton].count)
    network.load_state_dict(weights)
    network.eval()
    return wrap_network(network, settings, checkpoint_sha256=file_sha256(checkpoint)), settings


def wrap_network(
    network: nn.Module, settings: TrainSettings, *, checkpoint_sha256: str = ""
) -> TrainedNetwork:
    """Give a network in memory the outputs and the spec of a model file."""
    sigmoid = settings.sigmoid
    spec = make_spec(settings, checkpoint_sha256=checkpoint_sha256)
    return TrainedNetwork(
        spec, HeatmapNetwork(network, settings.kind, sigmoid=sigmoid, tag_unit_px=settings.tag_unit_px)
    )


def export_onnx(trained: TrainedNetwork, out: Path, spec: ModelSpec | None = None) -> float:
    """Write a model file and compare it with torch on noise.

    Args:
        trained: the network in evaluation mode.
        out: path of the ONNX file, written atomically.
        spec: replaces the network's own, to add accuracy or a licence.

    Returns:
        The largest absolute difference of any output between torch and ONNX Runtime.

    Raises:
        ModelFileError: the two differ by more than `PARITY_TOLERANCE`; nothing is written.
    """
    spec = spec or trained.spec
    names = output_names(spec)
    example = torch.zeros(2, 3, *spec.input_size)
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes: dict[int, object] = {0: batch}
    if spec.dynamic_size:
        shapes[2] = 32 * torch.export.Dim("rows", min=2, max=256)
        shapes[3] = 32 * torch.export.Dim("columns", min=2, max=256)
    program = torch.onnx.export(
        trained.module.eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[spec.input_name],
        output_names=names,
        dynamic_shapes=({**shapes},),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    write_spec(model, spec)
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    onnx.save(model, str(part))
    difference = torch_difference(trained, part)
    if difference > PARITY_TOLERANCE:
        part.unlink()
        raise ModelFileError(
            f"the exported {out.name} differs from torch by {difference:.2g}; nothing was written"
        )
    os.replace(part, out)
    read_spec(out)
    log.info("%s: %.2g from torch, %d bytes", out, difference, out.stat().st_size)
    return difference


def torch_difference(trained: TrainedNetwork, path: Path) -> float:
    """Return the largest difference between torch and ONNX Runtime over two batches of noise."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    spec, worst = read_spec(path), 0.0
    height, width = spec.input_size
    sizes = [(1, height, width), (3, height, width)]
    if spec.dynamic_size:
        sizes.append((1, height, width + 64))
    for batch, rows, columns in sizes:
        noise = np.random.default_rng(batch).standard_normal((batch, 3, rows, columns)).astype(np.float32)
        expected = trained.run(noise)
        got = dict(zip(expected, session.run(list(expected), {spec.input_name: noise}), strict=True))
        worst = max(worst, *(float(np.abs(expected[name] - got[name]).max()) for name in expected))
    return worst
