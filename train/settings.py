"""Settings of a training run: one YAML file is one `TrainSettings`, checked when it is loaded."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from engine.errors import UsageError
from engine.settings import Settings


class DataSource(Settings):
    """One COCO-format file to learn from."""

    annotations: Path
    """COCO keypoint JSON."""
    images: Path
    """Folder that its file names are relative to."""
    split: Path | None = None
    """JSON file of image ids by side; the run takes `train`. None takes all images."""
    share: float = Field(1.0, gt=0)
    """Share of the samples drawn from this file, relative to the other files."""
    source_weights: dict[str, float] = Field(default_factory=dict)
    """How often a sample is drawn by its image's `source`, default 1."""
    min_teacher_agreement: float = Field(0.5, ge=0, le=1)
    """People whose labels a teacher contradicts more than this are ignored."""


class AugmentSettings(Settings):
    """Random changes of a sample."""

    half_body: float = Field(0.3, ge=0, le=1)
    """Probability of showing only one body half."""
    scale: tuple[float, float] = (0.65, 1.35)
    """Range of the crop's size relative to the padded box."""
    shift: float = Field(0.08, ge=0)
    """Largest shift of the crop, as a share of the unpadded size."""
    rotation_deg: float = Field(45.0, ge=0)
    """Largest rotation; drawn from a normal distribution of half of it."""
    rotation_probability: float = Field(0.6, ge=0, le=1)
    any_rotation: float = Field(0.05, ge=0, le=1)
    """Probability of a uniform rotation instead, for people upside down."""
    colour: float = Field(0.4, ge=0)
    """Strength of the colour changes."""
    colour_probability: float = Field(0.8, ge=0, le=1)
    lose_detail: float = Field(0.25, ge=0, le=1)
    """Probability of blur, low resolution, compression or noise."""
    cover: float = Field(0.35, ge=0, le=1)
    """Probability of covering patches."""
    cut: float = Field(0.2, ge=0, le=1)
    """Probability of a side cut off as if by the frame."""
    negative: float = Field(0.08, ge=0, le=1)
    """Top-down: probability of a crop without anybody, whose keypoints are all absent."""
    mosaic: float = Field(0.5, ge=0, le=1)
    """Bottom-up: probability of several images side by side on one canvas."""


class Stage(Settings):
    """A stretch of training at one input size."""

    steps: int = Field(gt=0)
    """Optimiser steps."""
    input_size: tuple[int, int]
    """(height, width) in px, multiples of 32."""
    batch: int = Field(gt=0)
    heatmap_sigma: float = Field(2.0, gt=0)
    """Standard deviation of the targets in heatmap px, at every resolution."""


class TrainSettings(Settings):
    """One training run."""

    name: str
    """Name of the run and of the model."""
    kind: Literal["top-down", "bottom-up"]
    architecture: str
    """Name for `train.models.build_model`."""
    skeleton: str = "coco17"
    data: tuple[DataSource, ...] = Field(min_length=1)
    augment: AugmentSettings = AugmentSettings()
    stages: tuple[Stage, ...] = Field(min_length=1)
    loss: Literal["cross-entropy+focal", "mse", "ohkm"] = "cross-entropy+focal"
    """Heatmap loss; the papers' are mse and ohkm, on maps without a sigmoid."""
    focal_weight: float = Field(1.0, ge=0)
    pull_weight: float = Field(0.25, ge=0)
    push_weight: float = Field(0.25, ge=0)
    tag_unit_px: float = Field(0.0, ge=0)
    """Bottom-up: tags start as position, one unit per this many input px (`train.losses.place_tags`); 0 as
    published, tags from the network alone."""
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup_steps: int = Field(300, ge=0)
    final_learning_rate: float = Field(0.01, ge=0)
    """Share of the learning rate that is left at the end of the cosine."""
    clip_norm: float = Field(5.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights, which are the ones that are exported."""
    init_weights: Path | None = None
    """Checkpoint whose backbone starts this run."""
    precision: Literal["bf16", "fp32"] = "bf16"
    threads: int = Field(0, ge=0)
    """Threads of torch, 0 for all cores."""
    workers: int = Field(1, ge=0)
    """Processes that make samples."""
    seed: int = 0
    validation_annotations: Path | None = None
    validation_images: Path | None = None
    save_every: int = Field(500, gt=0)
    """Steps between checkpoints."""
    evaluate_every: int = Field(2000, gt=0)
    """Steps between evaluations."""
    out: Path = Path("runs")

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)


def load_settings(path: Path, overrides: tuple[str, ...] = ()) -> TrainSettings:
    """Read a YAML file and apply ``key=value`` overrides with dotted keys and YAML values.

    Raises:
        UsageError: the file is missing, is no YAML, or a setting is unknown or impossible.
    """
    if not path.is_file():
        raise UsageError(f"config {path} does not exist; see train/configs")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold one setting per line as `name: value`")
    for override in overrides:
        _override(values, override)
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise UsageError(f"{path}: " + "; ".join(lines)) from error


def _override(values: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found:
        raise UsageError(f"--set takes key=value, got {override!r}")
    target: Any = values
    *parents, last = key.split(".")
    try:
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        if isinstance(target, list):
            target[int(last)] = yaml.safe_load(text)
        else:
            target[last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise UsageError(f"--set {override!r} does not lead to a setting") from error
