"""Residual blocks and initialisation shared by HRNet and HigherHRNet.

Attribute names are those of the published checkpoints (`conv1`, `bn1`, `downsample`, ...), so that a
published `state_dict` loads without a translation table.
"""

from typing import Literal

import torch
from torch import nn

Init = Literal["normal", "he"]
"""`normal`: every convolution from N(0, 0.001), what the papers start from before they load ImageNet weights;
`he`: Kaiming normal by fan-out for every convolution but the heads, for training from scratch."""


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias that keeps the size at stride 1 and halves it at stride 2."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (*He et al. 2016, fig. 5 left*).

    Maps (B, in_channels, H, W) to (B, channels, H, W).
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, (B, channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut (*He et al. 2016, fig. 5 right*).

    Maps (B, in_channels, H, W) to (B, 4 * channels, H, W).
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, downsample: nn.Module | None = None) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, (B, 4 * channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + shortcut)


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, channels: int, count: int
) -> nn.Sequential:
    """Chain `count` blocks; the first one gets a 1x1 shortcut convolution where the channels change."""
    out_channels = channels * block.expansion
    downsample = None
    if in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
    blocks = [block(in_channels, channels, downsample)]
    blocks += [block(out_channels, channels) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


def initialise(model: nn.Module, init: Init) -> None:
    """Fill the weights of `model` in place.

    Batch norm starts as the identity and biases at zero. Under `he` the heads (convolutions with a bias,
    which here are exactly the 1x1 ones that give heatmaps and tags) keep N(0, 0.001), so that the first maps
    are flat instead of noise.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if init == "he" and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            else:
                nn.init.normal_(module.weight, std=0.001)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
