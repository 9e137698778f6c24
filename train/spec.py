"""The `ModelSpec` of a network: of one of our runs, or of a published checkpoint."""

from collections.abc import Mapping
from typing import Any, Literal

from engine.geometry import Convention, Size
from engine.model_file import DecodeMethod, HeatmapOutput, ModelSpec, TagOutput
from engine.skeleton import Skeleton, open_skeleton
from train.models import input_normalisation
from train.settings import TrainSettings

Kind = Literal["top-down", "bottom-up"]

FOCAL_PEAK_SCORE = 0.25
"""Weakest peak of a bottom-up network trained with the focal loss, whose background is less close to zero."""
COARSE_STRIDE = 4
"""Input px per px of the first output; each further one halves it."""


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
    focal = settings.kind == "bottom-up" and settings.loss == "cross-entropy+focal"
    return _describe(
        settings.name,
        settings.architecture,
        settings.architecture_options,
        settings.kind,
        open_skeleton(settings.skeleton),
        heatmaps=settings.heatmap_losses,
        tags=settings.tag_losses,
        input_size=input_size or stage.input_size,
        convention=settings.coordinates,
        decoder=settings.decode_method,
        heatmap_sigma=stage.sigmas(1)[-1],
        min_peak_score=FOCAL_PEAK_SCORE if focal else 0.1,
        licence=licence,
        training_data=training_data or ", ".join(source.annotations.stem for source in settings.data),
        accuracy=dict(accuracy or {}),
        checkpoint_sha256=checkpoint_sha256,
    )


def make_published_spec(
    name: str,
    architecture: str,
    *,
    skeleton: Skeleton,
    input_size: Size,
    licence: str,
    training_data: str,
    options: Mapping[str, Any] | None = None,
    convention: Convention = "hrnet",
    decoder: DecodeMethod = "quarter",
    heatmap_sigma: float = 2.0,
    accuracy: Mapping[str, float] | None = None,
    checkpoint_sha256: str = "",
) -> ModelSpec:
    """Describe a published network, whose maps are heatmaps as they are.

    Args:
        name: what the zoo calls it.
        architecture: name for `train.models.build_model`; `higherhrnet_*` is bottom-up with the published
            outputs, one deconvolution and tags on the first; all else is top-down.
        skeleton: of K keypoints.
        input_size: (height, width) that it was trained at.
        licence: of the weights.
        training_data: what they have seen.
        options: of the architecture, such as `stacks` and `variant` of a hourglass.
        convention: ``hrnet``; ``udp`` for DARK and UDP.
        decoder: ``quarter``; ``dark`` or ``udp`` where it was trained for these.
        heatmap_sigma: of its targets, heatmap px.
        accuracy: published figures by name.
        checkpoint_sha256: of the file with the weights.
    """
    return _describe(
        name,
        architecture,
        options or {},
        "bottom-up" if architecture.startswith("higherhrnet_") else "top-down",
        skeleton,
        heatmaps=(True, True),
        tags=(True, False),
        input_size=input_size,
        convention=convention,
        decoder=decoder,
        heatmap_sigma=heatmap_sigma,
        licence=licence,
        training_data=training_data,
        accuracy=dict(accuracy or {}),
        checkpoint_sha256=checkpoint_sha256,
    )


def _describe(
    name: str,
    architecture: str,
    options: Mapping[str, Any],
    kind: Kind,
    skeleton: Skeleton,
    *,
    heatmaps: tuple[bool, ...],
    tags: tuple[bool, ...],
    **rest: Any,
) -> ModelSpec:
    mean, std = input_normalisation(architecture, options)
    top_down = kind == "top-down"
    strides = [COARSE_STRIDE // 2**place for place in range(len(heatmaps))]
    return ModelSpec(
        name=name,
        architecture=architecture,
        kind=kind,
        input_name="image",
        dynamic_size=not top_down,
        mean=mean,
        std=std,
        heatmap_outputs=(
            (HeatmapOutput(name="heatmaps", stride=COARSE_STRIDE),)
            if top_down
            else tuple(
                HeatmapOutput(name=f"heatmaps_{place}", stride=stride)
                for place, stride in enumerate(strides)
                if heatmaps[place]
            )
        ),
        tag_outputs=()
        if top_down
        else tuple(
            TagOutput(name=f"tags_{place}", stride=stride)
            for place, stride in enumerate(strides)
            if tags[place]
        ),
        skeleton=skeleton,
        **rest,
    )


def output_names(spec: ModelSpec) -> list[str]:
    """Return the names of a model file's outputs: coarse first, of each stride heatmaps before tags."""
    strides = {output.name: output.stride for output in spec.heatmap_outputs}
    strides |= {output.name: output.stride for output in spec.tag_outputs}
    return sorted(strides, key=lambda name: -strides[name])
