"""Networks by name. `build_model` is the door, `build_network` the one for the settings of a run.

Each network lives in the module of its paper's name.
"""

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from torch import nn

from engine.errors import UsageError
from engine.skeleton import open_skeleton
from train.models import hourglass, hrnet
from train.models.blocks import Init
from train.models.higher_hrnet import HigherHead, HigherHRNet
from train.models.hourglass import build_hourglass
from train.models.hrnet import HRNet, HRNetShape
from train.models.normalisation import IMAGENET_MEAN, IMAGENET_STD, input_normalisation
from train.settings import TrainSettings

__all__ = [
    "BUILDERS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "SHAPES",
    "build_model",
    "build_network",
    "input_normalisation",
    "side_multiple",
]

# Parameters and multiply-adds for 17 keypoints: HRNet at 256x192, HigherHRNet at 512x512.
SHAPES: dict[str, HRNetShape] = {
    # HRNet-W18-small-v1 with width 16: 1.28 M, 0.571 G; HigherHRNet 1.30 M, 3.58 G
    "w16": HRNetShape(16, bottlenecks=1, bottleneck_width=32, modules=(1, 1, 1), blocks=2),
    # HRNet-W18-small-v2: 3.62 M, 1.535 G; HigherHRNet 3.64 M, 8.84 G
    "w18s": HRNetShape(18, bottlenecks=2, modules=(1, 3, 2), blocks=2),
    # our own, for CPUs that like multiples of 8: 5.48 M, 1.426 G; HigherHRNet 5.52 M, 8.68 G
    "w24": HRNetShape(24, stem=32, bottlenecks=2, bottleneck_width=32, modules=(1, 2, 2), blocks=2),
    # the papers': 28.54 M, 7.645 G; HigherHRNet 28.65 M, 46.2 G
    "w32": HRNetShape(32),
    "w48": HRNetShape(48),
}
PAPER_WIDTHS = frozenset({"w32", "w48"})
MAX_DECONVOLUTIONS = 2


def _init(width: str, init: Init | None) -> Init:
    if init is None:
        return "normal" if width in PAPER_WIDTHS else "he"
    if init not in get_args(Init):
        raise UsageError(f"init must be one of {', '.join(get_args(Init))}, got {init!r}")
    return init


def _hrnet(width: str, keypoints: int, *, init: Init | None = None) -> HRNet:
    return HRNet(SHAPES[width], keypoints, _init(width, init))


def _higher_hrnet(
    width: str,
    keypoints: int,
    *,
    init: Init | None = None,
    deconvolutions: int = 1,
    deconv_blocks: int | None = None,
    tag_outputs: Sequence[bool] | None = None,
    tag_per_keypoint: bool = True,
    cat_output: bool | Sequence[bool] = True,
) -> HigherHRNet:
    if deconvolutions not in range(MAX_DECONVOLUTIONS + 1):
        raise UsageError(
            f"deconvolutions must be 0 to {MAX_DECONVOLUTIONS}, after which maps have the input's size, got "
            f"{deconvolutions}"
        )
    if deconv_blocks is None:
        deconv_blocks = 4 if width in PAPER_WIDTHS else 1
    if deconv_blocks < 0:
        raise UsageError(f"deconv_blocks must be 0 or more, got {deconv_blocks}")
    if tag_outputs is None:
        tag_outputs = (True,) + (False,) * deconvolutions
    if len(tag_outputs) != deconvolutions + 1:
        raise UsageError(
            f"tag_outputs needs one value for each of the {deconvolutions + 1} outputs of a network with "
            f"{deconvolutions} deconvolutions, got {len(tag_outputs)}"
        )
    joined = (cat_output,) * deconvolutions if isinstance(cat_output, bool) else tuple(cat_output)
    if len(joined) != deconvolutions:
        raise UsageError(
            f"cat_output needs one value for each of the {deconvolutions} deconvolutions, got {len(joined)}"
        )
    head = HigherHead(tuple(tag_outputs), tag_per_keypoint, deconv_blocks, joined)
    return HigherHRNet(SHAPES[width], keypoints, _init(width, init), head)


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **{f"hrnet_{width}": partial(_hrnet, width) for width in SHAPES},
    **{f"higherhrnet_{width}": partial(_higher_hrnet, width) for width in SHAPES},
    "hourglass": build_hourglass,
}


def build_model(name: str, *, keypoints: int = 17, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: `hrnet_*` or `higherhrnet_*` with width `w16`, `w18s`, `w24`, `w32` or `w48`, or `hourglass`.
            `w18s` is HRNet-W18-small-**v2**; `w16` has the structure of small-v1 at width 16.
        keypoints: K.
        options: for both HRNets `init="normal"|"he"` (`normal` is the default of the papers' w32 and w48,
            which start from ImageNet weights; `he` that of the narrow ones, trained from scratch); for
            `higherhrnet_*` also `deconvolutions=0..2` (1), `deconv_blocks` after each (4 for the papers'
            widths, 1 for the narrow ones), `tag_outputs`, whether each output has tags (only the first),
            `tag_per_keypoint` (true) and `cat_output`, whether deconvolutions see the output before them
            (true); for `hourglass` `stacks=1..8` (8) and `variant="princeton"|"bearpaw"` (princeton).

    Returns:
        A module whose `state_dict` keys are the published ones. It takes (B, 3, H, W) with H and W multiples
        of `side_multiple(name)`. `hrnet_*` returns (B, K, H/4, W/4); `higherhrnet_*` a list, as published
        (B, 2K, H/4, W/4), heatmaps then tags, and (B, K, H/2, W/2); `hourglass` (B, stacks, K, H/4, W/4).

    Raises:
        UsageError: no such name, an option that the network does not have, or a value it cannot take.
    """
    if name not in BUILDERS:
        near = get_close_matches(name, BUILDERS, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(BUILDERS)}"
        raise UsageError(f"no network is called {name!r}; {hint}")
    if keypoints < 1:
        raise UsageError(f"a network needs at least one keypoint, got keypoints={keypoints}")
    builder = BUILDERS[name]
    known = [
        parameter.name
        for parameter in inspect.signature(builder).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UsageError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    return builder(keypoints, **options)


def build_network(settings: TrainSettings) -> nn.Module:
    """Build the network of a run: keypoints from its skeleton, tags from `tag_losses`.

    Args:
        settings: the run; `architecture_options` go to `build_model`, except `tag_outputs` and
            `tag_per_keypoint`, which are settings of their own.

    Returns:
        A module with fresh weights.

    Raises:
        UsageError: the skeleton or the network does not exist, an option is impossible, the network is of
            the other kind, its number of outputs is not that of `tag_losses`, no output has tags, or an
            input size is no multiple of what it needs.
    """
    name, options = settings.architecture, dict(settings.architecture_options)
    bottom_up = name.startswith("higherhrnet_")
    if name in BUILDERS and bottom_up != (settings.kind == "bottom-up"):
        fitting = [known for known in BUILDERS if known.startswith("higherhrnet_") != bottom_up]
        raise UsageError(
            f"{name} is a {'bottom-up' if bottom_up else 'top-down'} network, but kind is {settings.kind}; "
            f"that takes {', '.join(fitting)}"
        )
    if bottom_up:
        _check_outputs(settings, options)
        options |= {"tag_outputs": settings.tag_losses, "tag_per_keypoint": settings.tag_per_keypoint}
    network = build_model(name, keypoints=open_skeleton(settings.skeleton).count, **options)
    multiple = side_multiple(name)
    for stage in settings.stages:
        if any(side % multiple for side in stage.input_size):
            raise UsageError(
                f"{name} needs input_size in multiples of {multiple}, got {list(stage.input_size)}"
            )
    return network


def _check_outputs(settings: TrainSettings, options: dict[str, Any]) -> None:
    taken = {"tag_outputs": "tag_losses", "tag_per_keypoint": "tag_per_keypoint"}
    for option, setting in taken.items():
        if option in options:
            raise UsageError(
                f"architecture_options.{option} follows from the setting {setting}; set that instead"
            )
    outputs = options.get("deconvolutions", 1) + 1
    if len(settings.tag_losses) != outputs:
        raise UsageError(
            f"{settings.architecture} with {outputs - 1} deconvolutions has {outputs} outputs, tag_losses "
            f"has {len(settings.tag_losses)} values; set architecture_options.deconvolutions, or tag_losses "
            "and heatmap_losses"
        )
    if not any(settings.tag_losses):
        raise UsageError("a bottom-up network tells people apart by tags, but tag_losses is false everywhere")


def side_multiple(name: str) -> int:
    """Return what height and width of the input of a network must be multiples of."""
    return hourglass.SIDE_MULTIPLE if name == "hourglass" else hrnet.SIDE_MULTIPLE
