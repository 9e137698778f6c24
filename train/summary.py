"""What a run will train: its network part by part, what that costs, and its plan of stages.

The figures of the papers are counted in other units than ours, see `Summary.published_gmacs`.
"""

from dataclasses import dataclass

import torch

from engine.geometry import Size
from engine.skeleton import open_skeleton
from train.models import build_network
from train.models.counting import PartCost, Shape, count_macs, count_parameters, count_parts
from train.settings import Stage, TrainSettings
from train.text_tables import text_table


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures.

    Attributes:
        name: of the run.
        network: architecture with its options.
        skeleton: name of the skeleton.
        keypoints: K.
        input_size: (height, width) of the last stage, for which multiply-adds and shapes hold.
        parts: stem, stages, heads in the order in which a picture goes through them.
        parameters: weights and biases.
        macs: multiply-adds of convolutions for one picture.
        published_gmacs: the same as the papers count. Sun et al. 2019 divide by 2**30 and call it G (their
            lib/utils/utils.py): 7.1 at 256x192 for W32 is 7.645e9. Cheng et al. 2020 divide by 1e9, but
            count the transposed convolution as a kernel per output pixel: 47.9 at 512 for W32 is 46.2e9.
            None for hourglasses, whose papers give none.
        stages: the plan, one line each.
        schedule: optimiser and learning rate in one line.
    """

    name: str
    network: str
    skeleton: str
    keypoints: int
    input_size: Size
    parts: tuple[PartCost, ...]
    parameters: int
    macs: int
    published_gmacs: float | None
    stages: tuple[str, ...]
    schedule: str


def summarise(settings: TrainSettings) -> Summary:
    """Count the network of a run at the input size of its last stage, and lay out its plan.

    Nothing is computed or loaded: the network is built without memory for its weights.

    Raises:
        UsageError: the settings do not describe a network.
    """
    with torch.device("meta"):
        network = build_network(settings)
    size = settings.stages[-1].input_size
    parts = tuple(count_parts(network, size))
    macs = sum(part.macs for part in parts)
    published = None
    if settings.kind == "bottom-up":
        published = count_macs(network, size, kernel_per_output=True) / 1e9
    elif settings.architecture.startswith("hrnet_"):
        published = macs / 2**30
    options = ", ".join(f"{name}={value}" for name, value in settings.architecture_options.items())
    skeleton = open_skeleton(settings.skeleton)
    return Summary(
        name=settings.name,
        network=f"{settings.architecture}({options})" if options else settings.architecture,
        skeleton=skeleton.name,
        keypoints=skeleton.count,
        input_size=size,
        parts=parts,
        parameters=count_parameters(network),
        macs=macs,
        published_gmacs=published,
        stages=tuple(_stage_line(stage) for stage in settings.stages),
        schedule=_schedule_line(settings),
    )


def format_summary(summary: Summary) -> str:
    """Return a summary as text: a line, the table of parts, the plan."""
    rows = [
        [
            part.name,
            " + ".join(_shape(shape) for shape in part.outputs),
            f"{part.parameters / 1e6:.3f}",
            f"{part.macs / 1e9:.3f}",
        ]
        for part in summary.parts
    ]
    rows.append(["all", "", f"{summary.parameters / 1e6:.3f}", f"{summary.macs / 1e9:.3f}"])
    height, width = summary.input_size
    papers = summary.published_gmacs
    published = "" if papers is None else f" ({papers:.1f} as the papers count)"
    return "\n".join(
        [
            f"{summary.name}: {summary.network} at {height}x{width}, {summary.keypoints} keypoints of "
            f"{summary.skeleton}",
            "",
            text_table(
                ["part", "output (channels x height x width)", "M parameters", "G multiply-adds"], rows
            ),
            "",
            f"{summary.parameters / 1e6:.2f} M parameters, "
            f"{summary.macs / 1e9:.3f} G multiply-adds{published}",
            *summary.stages,
            summary.schedule,
        ]
    )


def _shape(shape: Shape) -> str:
    return "x".join(str(side) for side in shape)


def _stage_line(stage: Stage) -> str:
    length = f"{stage.steps} steps" if stage.epochs is None else f"{stage.epochs} epochs"
    sigmas = ", ".join(f"{sigma:g}" for sigma in stage.sigmas(1))
    height, width = stage.input_size
    return f"{length} of batches of {stage.batch} at {height}x{width}, heatmap sigma {sigmas}"


def _schedule_line(settings: TrainSettings) -> str:
    warmup = f", {settings.warmup_steps} steps of warm-up" if settings.warmup_steps else ""
    if settings.schedule == "cosine":
        course = f"a cosine down to {settings.final_learning_rate:g} of it"
    else:
        unit = "epochs" if settings.stages[0].epochs is not None else "steps"
        places = ", ".join(f"{milestone:g}" for milestone in settings.milestones)
        course = f"times {settings.decay:g} at {places} {unit}"
    return f"{settings.optimizer} at {settings.learning_rate:g}, {course}{warmup}; loss {settings.loss}"
