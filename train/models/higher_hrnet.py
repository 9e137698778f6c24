"""HigherHRNet: HRNet with heatmaps and tags at stride 4 and finer heatmaps below it, for bottom-up pose.

*Cheng et al. 2020, HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation*;
the tags are those of *Newell et al. 2017, Associative Embedding*. The keys of the backbone are the keys of
HRNet, so a top-down checkpoint can initialise it (`train.checkpoint.load_weights(..., part="backbone")`).
"""

from dataclasses import dataclass

import torch
from torch import nn

from train.models.blocks import BasicBlock, Init, initialise
from train.models.hrnet import HRNetBackbone, HRNetShape


@dataclass(frozen=True, slots=True)
class HigherHead:
    """What follows the backbone: one output at stride 4, and one more after each deconvolution.

    Attributes:
        tags: whether output i, coarse first, carries tags; one entry more than there are deconvolutions.
        tag_per_keypoint: K tag maps, or a single one for all keypoints.
        blocks: basic blocks after each deconvolution.
        joined: whether deconvolution i sees the features with the output before it, or the features alone
            (`CAT_OUTPUT`).
    """

    tags: tuple[bool, ...] = (True, False)
    tag_per_keypoint: bool = True
    blocks: int = 4
    joined: tuple[bool, ...] = (True,)

    def channels(self, keypoints: int) -> list[int]:
        """Return the channels of every output, coarse first."""
        tag_maps = keypoints if self.tag_per_keypoint else 1
        return [keypoints + (tag_maps if tagged else 0) for tagged in self.tags]


def _deconvolution(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    """Double the resolution by a 4x4 transposed convolution and refine by basic blocks."""
    upsample = nn.Sequential(
        nn.ConvTranspose2d(in_channels, channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
    refine = [nn.Sequential(BasicBlock(channels, channels)) for _ in range(blocks)]
    return nn.Sequential(upsample, *refine)


class HigherHRNet(HRNetBackbone):
    """HigherHRNet with any number of deconvolutions; the published ones have one.

    Args:
        shape: size of the backbone.
        keypoints: K.
        init: how to fill the weights, see `train.models.blocks.Init`.
        head: outputs, tags and deconvolutions.
    """

    def __init__(self, shape: HRNetShape, keypoints: int, init: Init, head: HigherHead | None = None) -> None:
        super().__init__(shape)
        head = head or HigherHead()
        width, channels = shape.width, head.channels(keypoints)
        self.joined = head.joined
        self.final_layers = nn.ModuleList(nn.Conv2d(width, count, 1) for count in channels)
        self.deconv_layers = nn.ModuleList(
            _deconvolution(width + (before if joined else 0), width, head.blocks)
            for before, joined in zip(channels[:-1], head.joined, strict=True)
        )
        initialise(self, init)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the raw maps of all resolutions.

        Args:
            images: (B, 3, H, W), normalised RGB; H and W multiples of 32.

        Returns:
            Coarse first, one tensor per output: (B, K, H / s, W / s) heatmaps with s = 4, 2, 1, ...; where
            the output has tags they follow in channels K..2K-1, or in channel K if there is one for all.
        """
        features = self.features(images)
        outputs = [self.final_layers[0](features)]
        for deconvolution, final, joined in zip(
            self.deconv_layers, self.final_layers[1:], self.joined, strict=True
        ):
            features = deconvolution(torch.cat((features, outputs[-1]), dim=1) if joined else features)
            outputs.append(final(features))
        return outputs
