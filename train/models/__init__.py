"""Networks by name. `build_model` is the door; each network lives in the module of its paper's name."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from torch import nn

from engine.errors import UsageError
from train.models.blocks import Init
from train.models.higher_hrnet import HigherHRNet
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
    # 63.6 M; HigherHRNet 63.8 M
    "w48": HRNetShape(48),
}
PAPER_WIDTHS = frozenset({"w32", "w48"})


def _hrnet(width: str, keypoints: int, *, init: Init | None = None) -> HRNet:
    return HRNet(SHAPES[width], keypoints, init or _default_init(width))


def _higher_hrnet(
    width: str, keypoints: int, *, init: Init | None = None, deconv_blocks: int | None = None
) -> HigherHRNet:
    if deconv_blocks is None:
        deconv_blocks = 4 if width in PAPER_WIDTHS else 1
    return HigherHRNet(SHAPES[width], keypoints, init or _default_init(width), deconv_blocks)


def _default_init(width: str) -> Init:
    return "normal" if width in PAPER_WIDTHS else "he"


def _builders() -> dict[str, Callable[..., nn.Module]]:
    builders: dict[str, Callable[..., nn.Module]] = {}
    for width in SHAPES:
        builders[f"hrnet_{width}"] = lambda keypoints, width=width, **options: _hrnet(
            width, keypoints, **options
        )
        builders[f"higherhrnet_{width}"] = lambda keypoints, width=width, **options: _higher_hrnet(
            width, keypoints, **options
        )
    return builders


def build_model(name: str, *, keypoints: int = 17, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: `hrnet_*` or `higherhrnet_*` with width `w16`, `w18s`, `w24`, `w32` or `w48`. `w18s` is
            HRNet-W18-small-**v2**; `w16` has the structure of small-v1 at width 16.
        keypoints: K.
        options: `init="normal"|"he"` (`normal` is the default of the papers' w32 and w48, which start from
            ImageNet weights; `he` that of the narrow ones, trained from scratch); for `higherhrnet_*` also
            `deconv_blocks` (4 for the papers' widths, 1 for the narrow ones).

    Returns:
        A module whose `state_dict` keys are the published ones. It takes (B, 3, H, W), H and W multiples of 32.

    Raises:
        UsageError: no such name, or an option that the network does not have.
    """
    builders = _builders()
    if name not in builders:
        near = get_close_matches(name, builders, n=3, cutoff=0.5) or sorted(builders)
        raise UsageError(f"no network is called {name!r}; did you mean {' or '.join(near)}?")
    if keypoints < 1:
        raise UsageError(f"a network needs at least one keypoint, got keypoints={keypoints}")
    return builders[name](keypoints, **options)
