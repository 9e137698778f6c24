"""Settings of a training run: one YAML file is one `TrainSettings`, checked when it is loaded.

Reading files, `--set` and suggestions for misspelt names are in `train.config_file`.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from engine.geometry import Convention
from engine.model_file import DecodeMethod
from engine.settings import Settings

DataFormat = Literal["coco", "crowdpose", "mpii", "posetrack", "folder"]
TargetKind = Literal["unbiased", "gaussian", "udp"]
HeatmapLoss = Literal["cross-entropy+focal", "mse", "ohkm"]

CONVENTIONS: dict[TargetKind, tuple[Convention, DecodeMethod]] = {
    "unbiased": ("half-pixel", "dark"),
    "gaussian": ("hrnet", "quarter"),
    "udp": ("udp", "udp"),
}
"""Coordinates and decoder that each kind of target calls for where the settings name none."""


class DataSource(Settings):
    """One set of labelled pictures to learn from."""

    format: DataFormat = "coco"
    """How the labels are written; `train.data.sources` reads each into the same typed samples."""
    annotations: Path
    """A JSON file; for PoseTrack also a folder of them; for the folder format a CSV file."""
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
    """Range of the crop's size relative to the padded box, drawn from a normal distribution around its middle
    that deviates by half of it and is clipped to it (Sun et al. 2019). Bottom-up with `view` published:
    relative to the short side of the picture, drawn uniformly."""
    shift: float = Field(0.08, ge=0)
    """Largest shift of the crop, as a share of the unpadded size; the papers' top-down networks have none."""
    rotation_deg: float = Field(45.0, ge=0)
    """Largest rotation; drawn from a normal distribution of half of it, with `view` published uniformly."""
    rotation_probability: float = Field(0.6, ge=0, le=1)
    any_rotation: float = Field(0.05, ge=0, le=1)
    """Probability of a uniform rotation instead, for people upside down."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring."""
    colour: float = Field(0.4, ge=0)
    """Strength of the colour changes."""
    colour_probability: float = Field(0.8, ge=0, le=1)
    lose_detail: float = Field(0.25, ge=0, le=1)
    """Probability of blur, low resolution, compression or noise."""
    cover: float = Field(0.35, ge=0, le=1)
    """Probability of covering patches."""
    cut: float = Field(0.2, ge=0, le=1)
    """Top-down: probability of a side cut off as if by the frame."""
    negative: float = Field(0.08, ge=0, le=1)
    """Top-down: probability of a crop without anybody, whose keypoints are all absent."""
    view: Literal["person", "published"] = "person"
    """Bottom-up: views around a person whose size is drawn from `extent`, or the papers' random affine of the
    whole picture (Cheng et al. 2020, lib/dataset/transforms)."""
    extent: tuple[float, float] = (0.22, 1.1)
    """Bottom-up: range of a person's longer side relative to the height of the input, drawn log-uniformly."""
    translate_px: float = Field(40.0, ge=0)
    """Bottom-up with `view` published: largest shift in px of a view 200 px wide (the papers' MAX_TRANSLATE),
    so that 40 is a fifth of the input's short side."""
    mosaic: float = Field(0.5, ge=0, le=1)
    """Bottom-up: probability of several images side by side on one canvas."""


class Stage(Settings):
    """A stretch of training at one input size, in optimiser steps or in epochs."""

    steps: int | None = Field(None, gt=0)
    """Optimiser steps."""
    epochs: int | None = Field(None, gt=0)
    """Passes over the data, instead of steps; with several sources, over as many samples as all have."""
    input_size: tuple[int, int]
    """(height, width) in px, multiples of 32; the hourglass needs 64."""
    batch: int = Field(gt=0)
    """Samples per optimiser step, over all processes and accumulated batches."""
    heatmap_sigma: float | tuple[float, ...] = 2.0
    """Standard deviation of the targets in heatmap px: one for all resolutions, or one each, coarse first."""

    @model_validator(mode="after")
    def _check(self) -> "Stage":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("a stage needs either steps or epochs")
        if any(side % 32 or side <= 0 for side in self.input_size):
            raise ValueError(f"input_size must be multiples of 32, got {list(self.input_size)}")
        if min(self.sigmas(1)) <= 0:
            raise ValueError("heatmap_sigma must be positive")
        return self

    def sigmas(self, outputs: int) -> tuple[float, ...]:
        """Return the sigma of each of the network's outputs, coarse first.

        Raises:
            ValueError: as many are given as fit another number of outputs.
        """
        if not isinstance(self.heatmap_sigma, tuple):
            return (self.heatmap_sigma,) * outputs
        if outputs > 1 and len(self.heatmap_sigma) != outputs:
            raise ValueError(
                f"{outputs} resolutions need {outputs} values of heatmap_sigma, got {len(self.heatmap_sigma)}"
            )
        return self.heatmap_sigma


class TrainSettings(Settings):
    """One training run."""

    name: str
    """Name of the run and of the model."""
    kind: Literal["top-down", "bottom-up"]
    architecture: str
    """Name for `train.models.build_model`."""
    architecture_options: dict[str, Any] = Field(default_factory=dict)
    """Its keyword arguments beside `keypoints`, such as `stacks` of an hourglass."""
    skeleton: str = "coco17"
    """Name of a skeleton in `engine.skeleton`, or the path of a YAML file that describes one."""
    data: tuple[DataSource, ...] = Field(min_length=1)
    sampling: Literal["weighted", "epochs"] = "weighted"
    """Draw by weight with replacement, or go through a new permutation of all samples in each epoch."""
    augment: AugmentSettings = AugmentSettings()
    stages: tuple[Stage, ...] = Field(min_length=1)
    targets: TargetKind = "unbiased"
    """Gaussians at the exact place (DARK), at the nearest whole heatmap px as HRNet and HigherHRNet have
    them, or at the exact place in UDP's coordinates."""
    convention: Convention | None = None
    """Coordinates of crops and heatmaps (`engine.geometry`); None is what `targets` call for."""
    decoder: DecodeMethod | None = None
    """How the trained model is decoded; None is what `targets` call for."""
    scale_aware_sigma: bool = False
    """Bottom-up: sigmas grow with the person (Cheng et al. 2020), `heatmap_sigma` being that of a person
    `scale_aware_base_px` high."""
    scale_aware_base_px: float = Field(256.0, gt=0)
    scale_aware_range: tuple[float, float] | None = None
    """Smallest and largest factor on `heatmap_sigma`; the loss at a person's keypoints is divided by the
    factor, so that large people do not outweigh the others. None as published: no limits, full loss."""
    loss: HeatmapLoss = "cross-entropy+focal"
    """Heatmap loss; the papers' are mse and ohkm, on maps without a sigmoid."""
    ohkm_top: int = Field(8, gt=0)
    """How many of a person's worst keypoints ohkm keeps."""
    focal_weight: float = Field(1.0, ge=0)
    heatmap_losses: tuple[bool, ...] = (True, True)
    """Bottom-up: which outputs have a heatmap loss, coarse first; a network of n deconvolutions has n + 1."""
    tag_losses: tuple[bool, ...] = (True, False)
    """Bottom-up: which outputs carry tags and their loss (`with_ae_loss`)."""
    tag_per_keypoint: bool = True
    """Bottom-up: one tag map per keypoint, or one for all."""
    push: Literal["exp", "max"] = "exp"
    """Bottom-up: how tags of different people repel each other (`train.losses.associative_embedding`)."""
    pull_weight: float = Field(0.25, ge=0)
    push_weight: float = Field(0.25, ge=0)
    tag_unit_px: float = Field(0.0, ge=0)
    """Bottom-up: tags start as position, one unit per this many input px (`train.losses.place_tags`); 0 as
    published, tags from the network alone."""
    max_people: int = Field(30, gt=0)
    """Bottom-up: people of a sample beyond this have no tag loss."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd."""
    nesterov: bool = False
    """Of sgd."""
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    schedule: Literal["cosine", "multi-step"] = "cosine"
    milestones: tuple[float, ...] = ()
    """Multi-step: where the rate is multiplied by `decay`, in steps or, where the stages count epochs, in
    epochs."""
    decay: float = Field(0.1, gt=0, lt=1)
    warmup_steps: int = Field(300, ge=0)
    final_learning_rate: float = Field(0.01, ge=0)
    """Share of the learning rate that is left at the end of the cosine."""
    accumulate: int = Field(1, gt=0)
    """Parts that a batch is computed in, one after the other, where memory is short."""
    clip_norm: float | None = Field(5.0, gt=0)
    """Largest norm of the gradient; None leaves it alone."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights, which are the ones that are exported; 0 exports the plain weights."""
    init_weights: Path | None = None
    """Checkpoint that starts this run: ImageNet, another pose network, or an earlier run."""
    init_part: Literal["auto", "all", "backbone"] = "backbone"
    """What is taken of it (`train.checkpoint.load_weights`)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """Arithmetic of the forward pass; fp16 scales its loss and needs a GPU."""
    deterministic: bool = False
    """Let torch refuse operations whose result differs from run to run; slower."""
    threads: int = Field(0, ge=0)
    """Threads of torch, 0 for all cores."""
    workers: int = Field(1, ge=0)
    """Processes that make samples."""
    cache_mib: int = Field(256, ge=0)
    """Memory in MiB that each of them may fill with decoded pictures."""
    seed: int = 0
    validation: DataSource | None = None
    """Pictures to judge by; the best checkpoint is the best on these."""
    validation_min_keypoints: int = Field(8, ge=1)
    """Only people with this many labels are judged."""
    validation_min_height: float = Field(96.0, ge=0)
    """Only people this high in px are judged."""
    save_every: int = Field(500, gt=0)
    """Steps between checkpoints."""
    evaluate_every: int = Field(2000, gt=0)
    """Steps between evaluations."""
    log_every: int = Field(50, gt=0)
    """Steps between rows of the log and points of the curves."""
    tensorboard: bool = True
    """Write curves, drawn samples and heatmaps, and the graph for TensorBoard into the run's folder."""
    pictures_every: int = Field(1000, gt=0)
    """Steps between drawn samples."""
    out: Path = Path("runs")

    @model_validator(mode="after")
    def _check(self) -> "TrainSettings":
        if len({stage.steps is None for stage in self.stages}) > 1:
            raise ValueError("all stages must count in steps, or all in epochs")
        if self.kind == "bottom-up" and self.loss == "ohkm":
            raise ValueError("loss ohkm is for top-down networks; take mse or cross-entropy+focal")
        if self.schedule == "multi-step" and not self.milestones:
            raise ValueError("schedule multi-step needs milestones")
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError("milestones must ascend")
        if len(self.heatmap_losses) != len(self.tag_losses):
            raise ValueError(
                "heatmap_losses and tag_losses must have one value for each output of the network"
            )
        if any(stage.batch % self.accumulate for stage in self.stages):
            raise ValueError("accumulate must divide the batch of every stage")
        return self

    @property
    def coordinates(self) -> Convention:
        """Convention in force."""
        return self.convention or CONVENTIONS[self.targets][0]

    @property
    def decode_method(self) -> DecodeMethod:
        """Decoder in force."""
        return self.decoder or CONVENTIONS[self.targets][1]

    @property
    def sigmoid(self) -> bool:
        """Whether the network's maps are logits, which a sigmoid turns into heatmaps."""
        return self.loss == "cross-entropy+focal"
