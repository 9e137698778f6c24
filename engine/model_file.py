"""One ONNX file is one model: `ModelSpec` is written into its metadata and read back from there.

Nothing about a model is configured anywhere else. `train.export` writes, every runtime reads.
"""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ModelFileError
from engine.geometry import Convention
from engine.skeleton import Skeleton

METADATA_KEY = "steadypose.model_spec"

DecodeMethod = Literal["argmax", "quarter", "dark", "udp"]


class HeatmapOutput(BaseModel):
    """One heatmap tensor (B, K, H, W) of the network: its ONNX name and stride in input px per heatmap px."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    stride: int = Field(gt=0)


class TagOutput(BaseModel):
    """One associative-embedding tensor (B, K, H, W), one tag value per keypoint and pixel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    stride: int = Field(gt=0)


class ModelSpec(BaseModel):
    """All that the engine needs to know of a network beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: str
    """What the zoo and the sidecar call it."""
    architecture: str
    """Name for `train.models.build_model`."""
    kind: Literal["top-down", "bottom-up"]
    input_name: str = "image"
    input_size: tuple[int, int]
    """(height, width); for bottom-up the training size, its shorter side is the default of the short side."""
    dynamic_size: bool = False
    """Whether height and width may be other multiples of 32."""
    mean: tuple[float, float, float]
    """Subtracted from colours in [0, 1], in `colour_order`."""
    std: tuple[float, float, float]
    """Divides after the mean is subtracted."""
    colour_order: Literal["rgb", "bgr"] = "rgb"
    heatmap_outputs: tuple[HeatmapOutput, ...] = Field(min_length=1)
    """Several are averaged at the finest stride (Cheng et al. 2020)."""
    tag_outputs: tuple[TagOutput, ...] = ()
    convention: Convention = "half-pixel"
    decoder: DecodeMethod = "dark"
    heatmap_sigma: float = 2.0
    """Standard deviation of the target Gaussian in heatmap px."""
    min_peak_score: float = Field(0.1, ge=0, le=1)
    """Weakest bottom-up peak that is grouped; networks are calibrated differently."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    skeleton: Skeleton
    licence: str
    training_data: str
    accuracy: dict[str, float] = Field(default_factory=dict)
    """Metric name to value, as measured after training."""
    checkpoint_sha256: str = ""


def write_spec(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Put `spec` into the metadata of an ONNX model in memory, replacing an older one."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.model_dump_json()


def read_spec(path: Path | str) -> ModelSpec:
    """Read the `ModelSpec` of an ONNX file.

    Raises:
        ModelFileError: the file is missing, cut short, not ONNX, not ours, or its spec is invalid.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(
            f"model file {path} does not exist; `steadypose models list` names those at hand"
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise ModelFileError(
            f"{path} is not an ONNX model or is cut short ({path.stat().st_size} bytes); "
            "export or copy it again"
        ) from error
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not texts:
        raise ModelFileError(
            f"{path} is an ONNX file without a SteadyPose model spec; make it with `python -m train export`"
        )
    try:
        spec = ModelSpec.model_validate_json(texts[0])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "spec"
        raise ModelFileError(
            f"{path} has an invalid model spec: {where}: {first['msg']}; export it again with this version"
        ) from error
    present = {output.name for output in model.graph.output}
    wanted = [output.name for output in spec.heatmap_outputs] + [output.name for output in spec.tag_outputs]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise ModelFileError(f"{path} lacks the outputs {missing} that its spec names; export it again")
    return spec


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def normalisation(spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (3,) multiplier and (3,) offset in channel order of the input, for colours 0..255.

    ``input = colour * multiplier + offset`` equals ``(colour / 255 - mean) / std``.
    """
    mean, std = np.asarray(spec.mean, np.float64), np.asarray(spec.std, np.float64)
    return (1.0 / (255.0 * std)).astype(np.float32), (-mean / std).astype(np.float32)
