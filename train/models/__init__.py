"""Networks by name. `build_model` is the door; each network lives in the module of its paper's name."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from torch import nn

from engine.errors import UsageError
from train.models.blocks import Init
from train.models.higher_hrnet import HigherHRNet
from train.models.hourglass import build_hourglass
from train.models.hrnet import HRNet, HRNetShape

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


def _init(width: str, init: Init | None) -> Init:
    if init is None:
        return "normal" if width in PAPER_WIDTHS else "he"
    if init not in get_args(Init):
        raise UsageError(f"init must be one of {', '.join(get_args(Init))}, got {init!r}")
    return init


def _hrnet(width: str, keypoints: int, *, init: Init | None = None) -> HRNet:
    return HRNet(SHAPES[width], keypoints, _init(width, init))


def _higher_hrnet(
    width: str, keypoints: int, *, init: Init | None = None, deconv_blocks: int | None = None
) -> HigherHRNet:
    if deconv_blocks is None:
        deconv_blocks = 4 if width in PAPER_WIDTHS else 1
    if deconv_blocks < 0:
        raise UsageError(f"deconv_blocks must be 0 or more, got {deconv_blocks}")
    return HigherHRNet(SHAPES[width], keypoints, _init(width, init), deconv_blocks)


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
            `higherhrnet_*` also `deconv_blocks` (4 for the papers' widths, 1 for the narrow ones); for
            `hourglass` `stacks=1..8` (8) and `variant="princeton"|"bearpaw"` (princeton).

    Returns:
        A module whose `state_dict` keys are the published ones. It takes (B, 3, H, W) with H and W multiples
        of 32 (64 for the hourglass). `hrnet_*` returns (B, K, H/4, W/4); `higherhrnet_*` a list of
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
