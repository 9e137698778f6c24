"""HigherHRNet: HRNet with heatmaps and tags at stride 4 and finer heatmaps at stride 2, for bottom-up pose.

*Cheng et al. 2020, HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation*;
the tags are those of *Newell et al. 2017, Associative Embedding*. The keys of the backbone are the keys of
HRNet, so a top-down checkpoint can initialise it (`train.checkpoint.load_weights(..., part="backbone")`).
"""

import torch
from torch import nn

from train.models.blocks import BasicBlock, Init, initialise
from train.models.hrnet import HRNetBackbone, HRNetShape


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
    """HigherHRNet with one deconvolution and one tag per keypoint.

    Args:
        shape: size of the backbone.
        keypoints: K.
        deconv_blocks: basic blocks after the deconvolution; the papers have 4, our narrow networks 1.
        init: how to fill the weights, see `train.models.blocks.Init`.
    """

    def __init__(self, shape: HRNetShape, keypoints: int, init: Init, deconv_blocks: int = 4) -> None:
        super().__init__(shape)
        width = shape.width
        self.final_layers = nn.ModuleList(
            [nn.Conv2d(width, 2 * keypoints, 1), nn.Conv2d(width, keypoints, 1)]
        )
        self.deconv_layers = nn.ModuleList([_deconvolution(width + 2 * keypoints, width, deconv_blocks)])
        initialise(self, init)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the raw maps of both resolutions.

        Args:
            images: (B, 3, H, W), normalised RGB; H and W multiples of 32.

        Returns:
            Two tensors: (B, 2K, H / 4, W / 4), heatmaps in channels 0..K-1 and tags in K..2K-1; and
            (B, K, H / 2, W / 2), heatmaps only.
        """
        features = self.features(images)
        coarse = self.final_layers[0](features)
        features = self.deconv_layers[0](torch.cat((features, coarse), dim=1))
        return [coarse, self.final_layers[1](features)]
