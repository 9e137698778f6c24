"""HRNet: one heatmap per keypoint from branches of four resolutions that exchange features all the way.

*Sun et al. 2019, Deep High-Resolution Representation Learning for Human Pose Estimation*. `HRNetBackbone`
ends in the features of stride 4; `HRNet` adds the 1x1 head; `train.models.higher_hrnet` builds on the same
backbone. The `state_dict` keys, their order and their shapes are those of the published checkpoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from engine.errors import UsageError
from train.models.blocks import BasicBlock, Bottleneck, Init, conv3x3, initialise, residual_layer

SIDE_MULTIPLE = 32
"""Input height and width must be multiples of this: the lowest branch has stride 32."""


@dataclass(frozen=True, slots=True)
class HRNetShape:
    """Size of an HRNet.

    Attributes:
        width: channels of the stride-4 branch; the branches below have 2, 4 and 8 times as many.
        stem: channels of the two stride-2 convolutions that come first.
        bottlenecks: bottleneck blocks of stage 1.
        bottleneck_width: inner channels of those blocks, a quarter of what leaves stage 1.
        modules: exchange modules of stages 2, 3 and 4.
        blocks: basic blocks per branch in each module.
    """

    width: int
    stem: int = 64
    bottlenecks: int = 4
    bottleneck_width: int = 64
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    def branch_channels(self, branches: int) -> list[int]:
        """Return the channels of the first `branches` branches, finest first."""
        return [self.width * 2**i for i in range(branches)]


def _fuse_layer(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Bring branch `source` to the channels and the resolution of branch `target`."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(channels[source], channels[target], 1, bias=False),
            nn.BatchNorm2d(channels[target]),
            nn.Upsample(scale_factor=float(2 ** (source - target)), mode="nearest"),
        )
    steps: list[nn.Module] = []
    for step in range(target - source):
        last = step == target - source - 1
        out_channels = channels[target] if last else channels[source]
        layers: list[nn.Module] = [
            conv3x3(channels[source], out_channels, stride=2),
            nn.BatchNorm2d(out_channels),
        ]
        if not last:
            layers.append(nn.ReLU(inplace=True))
        steps.append(nn.Sequential(*layers))
    return nn.Sequential(*steps)


class ExchangeModule(nn.Module):
    """Basic blocks on every branch, then every branch receives the sum of all (*Sun et al. 2019, fig. 3*).

    Args:
        channels: channels of each branch, finest first; branch i has half the side lengths of branch i - 1.
        blocks: basic blocks per branch.
        outputs: how many branches to give back, finest first; the last module of a network needs only one.
    """

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(residual_layer(BasicBlock, c, c, blocks) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Map one tensor per branch, (B, C_i, H / 2^i, W / 2^i), to `outputs` tensors of the same shapes."""
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            assert isinstance(layers, nn.ModuleList)
            terms = [layer(x) for layer, x in zip(layers, xs, strict=True)]
            total = terms[0] + terms[1]
            for term in terms[2:]:
                total = total + term
            fused.append(self.relu(total))
        return fused


class Stage(nn.Sequential):
    """Exchange modules in a row, all on the same branches."""

    def __init__(self, channels: Sequence[int], modules: int, blocks: int, outputs: int) -> None:
        counts = [len(channels)] * (modules - 1) + [outputs]
        super().__init__(*(ExchangeModule(channels, blocks, count) for count in counts))


def _first_transition(in_channels: int, channels: Sequence[int]) -> nn.ModuleList:
    """Split what leaves stage 1 into the branches of stage 2."""
    same: nn.Module = nn.Identity()
    if in_channels != channels[0]:
        same = nn.Sequential(
            conv3x3(in_channels, channels[0]), nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True)
        )
    return nn.ModuleList([same, _new_branch(in_channels, channels[1])])


def _next_transition(channels: Sequence[int]) -> nn.ModuleList:
    """Keep the present branches and open one more below the lowest."""
    kept: list[nn.Module] = [nn.Identity() for _ in channels[:-1]]
    return nn.ModuleList([*kept, _new_branch(channels[-2], channels[-1])])


def _new_branch(in_channels: int, out_channels: int) -> nn.Sequential:
    """Halve the resolution of the lowest branch (nested once more than the rest, as in the checkpoints)."""
    return nn.Sequential(
        nn.Sequential(
            conv3x3(in_channels, out_channels, stride=2),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
    )


def _widen(transition: nn.ModuleList, xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Apply a transition: branch i from branch i, the new one from the lowest there is."""
    return [layer(xs[min(i, len(xs) - 1)]) for i, layer in enumerate(transition)]


class HRNetBackbone(nn.Module):
    """HRNet without a head."""

    def __init__(self, shape: HRNetShape) -> None:
        super().__init__()
        self.conv1 = conv3x3(3, shape.stem, stride=2)
        self.bn1 = nn.BatchNorm2d(shape.stem)
        self.conv2 = conv3x3(shape.stem, shape.stem, stride=2)
        self.bn2 = nn.BatchNorm2d(shape.stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = residual_layer(Bottleneck, shape.stem, shape.bottleneck_width, shape.bottlenecks)

        two, three, four = (shape.branch_channels(n) for n in (2, 3, 4))
        self.transition1 = _first_transition(shape.bottleneck_width * Bottleneck.expansion, two)
        self.stage2 = Stage(two, shape.modules[0], shape.blocks, outputs=2)
        self.transition2 = _next_transition(three)
        self.stage3 = Stage(three, shape.modules[1], shape.blocks, outputs=3)
        self.transition3 = _next_transition(four)
        self.stage4 = Stage(four, shape.modules[2], shape.blocks, outputs=1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of stride 4.

        Args:
            images: (B, 3, H, W), normalised RGB; H and W multiples of 32.

        Returns:
            (B, width, H / 4, W / 4).

        Raises:
            UsageError: H or W is not a multiple of 32.
        """
        if not torch.compiler.is_compiling():
            _check_sides(images)
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        xs = self.stage2(_widen(self.transition1, [x]))
        xs = self.stage3(_widen(self.transition2, xs))
        xs = self.stage4(_widen(self.transition3, xs))
        return xs[0]


def _check_sides(images: torch.Tensor) -> None:
    height, width = images.shape[-2:]
    if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE:
        raise UsageError(
            f"HRNet needs an input whose height and width are multiples of {SIDE_MULTIPLE}, got "
            f"{height}x{width}; the nearest it takes is {_nearest_side(height)}x{_nearest_side(width)}"
        )


def _nearest_side(side: int) -> int:
    return max(1, round(side / SIDE_MULTIPLE)) * SIDE_MULTIPLE


class HRNet(HRNetBackbone):
    """HRNet for top-down pose: one crop in, one heatmap per keypoint out.

    Args:
        shape: size of the network.
        keypoints: K, the number of heatmaps.
        init: how to fill the weights, see `train.models.blocks.Init`.
    """

    def __init__(self, shape: HRNetShape, keypoints: int, init: Init) -> None:
        super().__init__(shape)
        self.final_layer = nn.Conv2d(shape.width, keypoints, 1)
        initialise(self, init)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return raw maps, (B, K, H / 4, W / 4), for normalised RGB images (B, 3, H, W).

        There is no activation at the end: networks trained with the papers' MSE give heatmaps as they are,
        those trained with a cross-entropy give logits, and the export appends what makes heatmaps of them.
        """
        return self.final_layer(self.features(images))
