"""Stacked hourglass networks, with the `state_dict` of either public PyTorch implementation.

*Newell et al. 2016, Stacked Hourglass Networks for Human Pose Estimation*. The implementations of
princeton-vl (the authors') and of bearpaw/pytorch-pose differ in their stem and in their shortcuts, so their
weights do not fit each other. Both give one set of heatmaps per stack; the loss is applied to every stack,
the last one is the prediction.
"""

from typing import Literal

import torch
from torch import nn

from engine.errors import UsageError

Variant = Literal["princeton", "bearpaw"]

FEATURES = 256
DEPTH = 4
SIDE_MULTIPLE = 64
"""Input height and width must be multiples of this: stride 4 at the stem, then four halvings."""


def _nchw(images: torch.Tensor) -> torch.Tensor:
    """Return images of either layout as (B, 3, H, W), after checking their sides."""
    if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
        images = images.permute(0, 3, 1, 2)
    if torch.compiler.is_compiling():
        return images
    height, width = images.shape[-2:]
    if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE:
        raise UsageError(
            f"a stacked hourglass needs an input whose height and width are multiples of {SIDE_MULTIPLE}, "
            f"got {height}x{width}; the published weights were trained at 256x256"
        )
    return images


class PrincetonConv(nn.Module):
    """Convolution with bias, optionally followed by batch norm and ReLU; keeps the size at stride 1."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int = 1, *, activate: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, (kernel - 1) // 2)
        self.bn = nn.BatchNorm2d(channels) if activate else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        x = self.conv(x)
        return x if self.bn is None else self.relu(self.bn(x))


class PrincetonResidual(nn.Module):
    """Pre-activation bottleneck. It owns `skip_layer` even where the shortcut is the identity.

    The unused `skip_layer` is in every published checkpoint; in training its parameters get no gradient.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = PrincetonConv(in_channels, inner, 1)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = PrincetonConv(inner, inner, 3)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = PrincetonConv(inner, channels, 1)
        self.skip_layer = PrincetonConv(in_channels, channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.needs_skip = in_channels != channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H, W)."""
        shortcut = self.skip_layer(x) if self.needs_skip else x
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        return self.conv3(self.relu(self.bn3(y))) + shortcut


class PrincetonHourglass(nn.Module):
    """One hourglass: halve, recurse, double, add (*Newell et al. 2016, fig. 3*). Keeps its input's shape."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.up1 = PrincetonResidual(channels, channels)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.low1 = PrincetonResidual(channels, channels)
        self.low2: nn.Module = (
            PrincetonHourglass(depth - 1, channels) if depth > 1 else PrincetonResidual(channels, channels)
        )
        self.low3 = PrincetonResidual(channels, channels)
        self.up2 = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape; H and W are multiples of 2 to the depth."""
        return self.up1(x) + self.up2(self.low3(self.low2(self.low1(self.pool1(x)))))


class PrincetonMerge(nn.Module):
    """1x1 convolution that leads a stack's result back into the next stack's input."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = PrincetonConv(in_channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H, W)."""
        return self.conv(x)


class PrincetonStackedHourglass(nn.Module):
    """Stacked hourglass of princeton-vl/pytorch_stacked_hourglass.

    Args:
        stacks: hourglasses in a row.
        keypoints: K.
    """

    def __init__(self, stacks: int, keypoints: int) -> None:
        super().__init__()
        self.pre = nn.Sequential(
            PrincetonConv(3, 64, 7, 2, activate=True),
            PrincetonResidual(64, 128),
            nn.MaxPool2d(2, 2),
            PrincetonResidual(128, 128),
            PrincetonResidual(128, FEATURES),
        )
        self.hgs = nn.ModuleList(nn.Sequential(PrincetonHourglass(DEPTH, FEATURES)) for _ in range(stacks))
        self.features = nn.ModuleList(
            nn.Sequential(
                PrincetonResidual(FEATURES, FEATURES), PrincetonConv(FEATURES, FEATURES, 1, activate=True)
            )
            for _ in range(stacks)
        )
        self.outs = nn.ModuleList(PrincetonConv(FEATURES, keypoints, 1) for _ in range(stacks))
        self.merge_features = nn.ModuleList(PrincetonMerge(FEATURES, FEATURES) for _ in range(stacks - 1))
        self.merge_preds = nn.ModuleList(PrincetonMerge(keypoints, FEATURES) for _ in range(stacks - 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the heatmaps of every stack.

        Args:
            images: RGB in [0, 1] without mean or std, (B, 3, H, W), or (B, H, W, 3) as the original takes
                them; H and W multiples of 64.

        Returns:
            (B, stacks, K, H / 4, W / 4), first stack first.

        Raises:
            UsageError: H or W is not a multiple of 64.
        """
        x = self.pre(_nchw(images))
        maps = []
        for stack, hourglass in enumerate(self.hgs):
            features = self.features[stack](hourglass(x))
            maps.append(self.outs[stack](features))
            if stack + 1 < len(self.hgs):
                x = x + self.merge_preds[stack](maps[-1]) + self.merge_features[stack](features)
        return torch.stack(maps, dim=1)


class BearpawBottleneck(nn.Module):
    """Pre-activation bottleneck that doubles its inner channels; a shortcut convolution where they change."""

    expansion = 2

    def __init__(self, in_channels: int, inner: int) -> None:
        super().__init__()
        channels = inner * self.expansion
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, channels, 1)) if in_channels != channels else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, H, W) to (B, 2 * inner, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        return self.conv3(self.relu(self.bn3(y))) + shortcut


def _bearpaw_residual(in_channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(BearpawBottleneck(in_channels, inner))


class BearpawHourglass(nn.Module):
    """One hourglass; its blocks lie in `hg[level][role]`, level 0 being the coarsest.

    Roles: 0 stays at the level's resolution, 1 goes down, 2 comes back; level 0 has a fourth at the bottom.
    """

    def __init__(self, depth: int, inner: int) -> None:
        super().__init__()
        channels = inner * BearpawBottleneck.expansion
        self.hg = nn.ModuleList(
            nn.ModuleList(_bearpaw_residual(channels, inner) for _ in range(4 if level == 0 else 3))
            for level in range(depth)
        )
        self.pool = nn.MaxPool2d(2, 2)
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape; H and W are multiples of 2 to the depth."""
        return self._level(len(self.hg) - 1, x)

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        blocks = self.hg[level]
        assert isinstance(blocks, nn.ModuleList)
        low = blocks[1](self.pool(x))
        low = self._level(level - 1, low) if level > 0 else blocks[3](low)
        return blocks[0](x) + self.upsample(blocks[2](low))


class BearpawStackedHourglass(nn.Module):
    """Stacked hourglass of bearpaw/pytorch-pose with one block per place (`hg*_b1`).

    Args:
        stacks: hourglasses in a row.
        keypoints: K.
    """

    def __init__(self, stacks: int, keypoints: int) -> None:
        super().__init__()
        inner = FEATURES // BearpawBottleneck.expansion
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _bearpaw_residual(64, 64)
        self.layer2 = _bearpaw_residual(128, 128)
        self.layer3 = _bearpaw_residual(FEATURES, inner)
        self.maxpool = nn.MaxPool2d(2, 2)
        self.hg = nn.ModuleList(BearpawHourglass(DEPTH, inner) for _ in range(stacks))
        self.res = nn.ModuleList(_bearpaw_residual(FEATURES, inner) for _ in range(stacks))
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Conv2d(FEATURES, FEATURES, 1), nn.BatchNorm2d(FEATURES), nn.ReLU(inplace=True))
            for _ in range(stacks)
        )
        self.score = nn.ModuleList(nn.Conv2d(FEATURES, keypoints, 1) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(FEATURES, FEATURES, 1) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(nn.Conv2d(keypoints, FEATURES, 1) for _ in range(stacks - 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the heatmaps of every stack.

        Args:
            images: RGB in [0, 1] minus the data set's mean, (B, 3, H, W) or (B, H, W, 3); H and W multiples
                of 64.

        Returns:
            (B, stacks, K, H / 4, W / 4), first stack first; the original gives a list of the stacks.

        Raises:
            UsageError: H or W is not a multiple of 64.
        """
        x = self.relu(self.bn1(self.conv1(_nchw(images))))
        x = self.layer3(self.layer2(self.maxpool(self.layer1(x))))
        maps = []
        for stack, hourglass in enumerate(self.hg):
            features = self.fc[stack](self.res[stack](hourglass(x)))
            maps.append(self.score[stack](features))
            if stack + 1 < len(self.hg):
                x = x + self.fc_[stack](features) + self.score_[stack](maps[-1])
        return torch.stack(maps, dim=1)


def build_hourglass(keypoints: int, *, stacks: int = 8, variant: Variant = "princeton") -> nn.Module:
    """Build a stacked hourglass with torch's default initialisation, as both originals do.

    Args:
        keypoints: K, for example 16 for MPII or 68 for faces.
        stacks: 1 to 8.
        variant: whose `state_dict` it has.

    Raises:
        UsageError: `stacks` or `variant` is not among those above.
    """
    if not 1 <= stacks <= 8:
        raise UsageError(f"a stacked hourglass has 1 to 8 stacks, got stacks={stacks}")
    if variant == "princeton":
        return PrincetonStackedHourglass(stacks, keypoints)
    if variant == "bearpaw":
        return BearpawStackedHourglass(stacks, keypoints)
    raise UsageError(f"the hourglass variants are 'princeton' and 'bearpaw', got {variant!r}")
