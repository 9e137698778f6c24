"""From weights to a model file: ONNX with its `ModelSpec`, then a parity check against torch.

What is exported of our own runs is the averaged network with the activation that its loss was trained for,
so that every heatmap of a model file is in [0, 1]; of a published checkpoint, the network as it is.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import ModelFileError
from engine.model_file import ModelSpec, file_sha256, read_spec, write_spec
from train.checkpoint import read_checkpoint
from train.losses import place_tags
from train.models import build_network, side_multiple
from train.settings import TrainSettings
from train.spec import COARSE_STRIDE, Kind, make_published_spec, make_spec, output_names

__all__ = [
    "HeatmapNetwork",
    "TrainedNetwork",
    "export_network",
    "export_onnx",
    "load_trained",
    "make_published_spec",
    "make_spec",
    "output_names",
    "torch_difference",
    "wrap_network",
    "wrap_published",
]

log = logging.getLogger(__name__)

OPSET = 20
PARITY_TOLERANCE = 2e-3
"""Largest difference of an output between torch and ONNX Runtime, both float32, in units of the larger of one
and that output's greatest value: heatmaps are about one, tags and deep hourglasses may be larger."""


class HeatmapNetwork(nn.Module):
    """A network with the outputs of a model file.

    top-down: heatmaps (B, K, h/4, w/4), of a hourglass those of the last stack. bottom-up, for output i of
    stride s = 4 / 2**i: heatmaps_i (B, K, H/s, W/s) where it has a heatmap loss, then tags_i (B, K or 1, H/s,
    W/s) where it has tags. Heatmaps pass a sigmoid if they were trained under one; tags carry their position
    if they were trained so.

    Args:
        network: what `train.models.build_model` returned.
        kind: top-down or bottom-up.
        keypoints: K.
        sigmoid: whether the maps are logits.
        heatmaps: bottom-up, which outputs' heatmaps count, coarse first.
        tags: bottom-up, which outputs have tags.
        tag_unit_px: see `train.losses.place_tags`; 0 leaves tags as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        kind: Kind,
        *,
        keypoints: int,
        sigmoid: bool = False,
        heatmaps: tuple[bool, ...] = (True, True),
        tags: tuple[bool, ...] = (True, False),
        tag_unit_px: float = 0.0,
    ) -> None:
        super().__init__()
        self.network, self.kind, self.keypoints = network, kind, keypoints
        self.sigmoid, self.heatmaps, self.tags, self.tag_unit_px = sigmoid, heatmaps, tags, tag_unit_px

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of the class's text."""
        outputs = self.network(image)
        if self.kind == "top-down":
            return (self._activate(outputs[:, -1] if outputs.ndim == 5 else outputs),)
        given: list[Tensor] = []
        for place, maps in enumerate(outputs):
            if self.heatmaps[place]:
                given.append(self._activate(maps[:, : self.keypoints]))
            if self.tags[place]:
                given.append(self._place(maps[:, self.keypoints :], COARSE_STRIDE // 2**place))
        return tuple(given)

    def _activate(self, maps: Tensor) -> Tensor:
        return maps.sigmoid() if self.sigmoid else maps

    def _place(self, tags: Tensor, stride: int) -> Tensor:
        return place_tags(tags, self.tag_unit_px, stride) if self.tag_unit_px > 0 else tags


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """A trained network that estimators can run like a model file.

    run takes (N, 3, h, w) float32 normalised input and returns arrays by output name.
    """

    spec: ModelSpec
    module: HeatmapNetwork

    @torch.inference_mode()
    def run(self, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network in float32 where its weights are, without autocast."""
        device = next(self.module.parameters()).device
        images = torch.from_numpy(np.ascontiguousarray(inputs)).to(device)
        with torch.autocast(device.type, enabled=False):
            outputs = self.module(images.contiguous(memory_format=torch.channels_last))
        names = output_names(self.spec)
        return {name: maps.float().cpu().numpy() for name, maps in zip(names, outputs, strict=True)}


def load_trained(
    checkpoint: Path, settings: TrainSettings | None = None
) -> tuple[TrainedNetwork, TrainSettings]:
    """Open a checkpoint of `train.trainer` with its averaged weights.

    Args:
        checkpoint: `last.pt`, `best.pt` or `final.pt` of a run.
        settings: the run's settings; None takes those kept in the checkpoint.

    Raises:
        ModelFileError: the file is missing, is not a checkpoint of this trainer, or holds another network
            than `settings` describe.
    """
    state = read_checkpoint(checkpoint)
    if not isinstance(state, dict) or not {"config", "ema"} <= state.keys():
        raise ModelFileError(
            f"{checkpoint} is not a checkpoint of `python -m train fit`; give last.pt, best.pt or final.pt"
        )
    config, weights = state["config"], state["ema"]
    settings = settings or TrainSettings.model_validate(json.loads(config))
    network = build_network(settings)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(
            f"{checkpoint} holds another network than {settings.architecture} for skeleton "
            f"{settings.skeleton}; give the config that it was trained with"
        ) from error
    network.eval()
    return wrap_network(network, settings, checkpoint_sha256=file_sha256(checkpoint)), settings


def wrap_network(
    network: nn.Module, settings: TrainSettings, *, checkpoint_sha256: str = ""
) -> TrainedNetwork:
    """Give a network in memory the outputs and the spec of a model file."""
    spec = make_spec(settings, checkpoint_sha256=checkpoint_sha256)
    module = HeatmapNetwork(
        network,
        settings.kind,
        keypoints=spec.skeleton.count,
        sigmoid=settings.sigmoid,
        heatmaps=settings.heatmap_losses,
        tags=settings.tag_losses,
        tag_unit_px=settings.tag_unit_px,
    )
    return TrainedNetwork(spec, module)


def wrap_published(network: nn.Module, spec: ModelSpec) -> TrainedNetwork:
    """Give a published network, its weights loaded, the outputs that `make_published_spec` describes."""
    return TrainedNetwork(spec, HeatmapNetwork(network.eval(), spec.kind, keypoints=spec.skeleton.count))


def export_network(network: nn.Module, spec: ModelSpec, out: Path) -> float:
    """Write the model file of a published network; see `wrap_published` and `export_onnx`."""
    return export_onnx(wrap_published(network, spec), out)


def forget_sources(model: onnx.ModelProto) -> None:
    """Remove what torch notes of the code that made each node: paths and lines on the exporting machine."""
    graph = model.graph
    for item in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output, graph):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def export_onnx(trained: TrainedNetwork, out: Path, spec: ModelSpec | None = None) -> float:
    """Write a model file and compare it with torch on noise.

    Args:
        trained: the network in evaluation mode.
        out: path of the ONNX file, written atomically.
        spec: replaces the network's own, to add accuracy or a licence.

    Returns:
        The largest difference of any output between torch and ONNX Runtime, see `torch_difference`.

    Raises:
        ModelFileError: the two differ by more than `PARITY_TOLERANCE`; nothing is written.
    """
    spec = spec or trained.spec
    trained = TrainedNetwork(spec, trained.module.cpu().eval())
    names = output_names(spec)
    example = torch.zeros(2, 3, *spec.input_size)
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes: dict[int, object] = {0: batch}
    if spec.dynamic_size:
        multiple = side_multiple(spec.architecture)
        shapes[2] = multiple * torch.export.Dim("rows", min=2, max=256)
        shapes[3] = multiple * torch.export.Dim("columns", min=2, max=256)
    program = torch.onnx.export(
        trained.module,
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
    forget_sources(model)
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
    """Return the largest difference between torch and ONNX Runtime over batches of noise.

    The difference of an output is absolute, and relative to its greatest value where that is above one.
    """
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
        for name, maps in expected.items():
            scale = max(1.0, float(np.abs(maps).max()))
            worst = max(worst, float(np.abs(maps - got[name]).max()) / scale)
    return worst
