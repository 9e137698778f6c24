"""Losses on heatmaps and tags. Letters: B batch, K keypoints, H×W heatmap, P people, L tag length.

The papers' losses follow their code to the factor; the two at the end are what the bundled models use,
because on few images a sparse Gaussian under plain MSE spends its first epochs at empty maps.
"""

import torch
from torch import Tensor
from torch.nn import functional


def keypoint_mse(output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over keypoints of half the mean squared error (Sun et al. 2019, lib/core/loss.py).

    The weight multiplies prediction and target alike, so 1.5 acts as 2.25.

    Args:
        output: (B, K, H, W). target: (B, K, H, W). weight: (B, K, 1) or (B, K).

    Returns:
        Scalar.
    """
    if weight is not None:
        weight = weight.reshape(*output.shape[:2], 1, 1)
        output, target = output * weight, target * weight
    return 0.5 * (output - target).square().mean()


def keypoint_ohkm_mse(
    output: Tensor, target: Tensor, weight: Tensor | None = None, *, top: int = 8
) -> Tensor:
    """Like `keypoint_mse`, over the `top` worst keypoints of each sample (online hard keypoint mining)."""
    if weight is not None:
        weight = weight.reshape(*output.shape[:2], 1, 1)
        output, target = output * weight, target * weight
    losses = 0.5 * (output - target).square().mean(dim=(2, 3))
    return losses.topk(top, dim=1).values.mean()


def masked_heatmap_mse(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Per-sample mean squared error outside ignored regions (Cheng et al. 2020, lib/core/loss.py).

    Args:
        output: (B, K, H, W). target: (B, K, H, W). mask: (B, H, W) or (B, K, H, W) weight of each squared
            error, 0 inside ignored regions.

    Returns:
        (B,).
    """
    if mask.ndim == 3:
        mask = mask[:, None]
    return ((output - target).square() * mask).mean(dim=(1, 2, 3))


def place_tags(tags: Tensor, unit_px: float, stride: int = 4) -> Tensor:
    """Add each pixel's own position, (x + y / 2) / unit, to its tags.

    People stand in different places, so the push of associative embedding is nearly met from the start, and
    the pull asks for something local: the way from a keypoint to the middle of its person. A small network
    learns that from thousands of pictures where free tags take it millions.

    Args:
        tags: (B, K, H, W). unit_px: input px per unit of tag. stride: input px per pixel of the map.

    Returns:
        (B, K, H, W).
    """
    xs = torch.arange(tags.shape[3], device=tags.device, dtype=tags.dtype)
    ys = torch.arange(tags.shape[2], device=tags.device, dtype=tags.dtype)
    return tags + (xs[None, :] + 0.5 * ys[:, None]) * (stride / unit_px)


def associative_embedding(tags: Tensor, indices: Tensor, *, push: str = "exp") -> tuple[Tensor, Tensor]:
    """Pull the tags of a person together, push those of different people apart (Newell et al. 2017, eq. 1).

    Args:
        tags: (B, K*H*W, L). indices: (B, P, K, 2) of (flat index, used), from `data.targets.tag_indices`.
        push: ``exp`` for ``exp(-d²)``, ``max`` for ``max(0, 1 - |d|)``.

    Returns:
        push (B,) and pull (B,); both 0 where there is nobody, push 0 for a single person.
    """
    batch, people, keypoints = indices.shape[:3]
    used = (indices[..., 1] > 0).to(tags.dtype)[..., None]  # (B, P, K, 1)
    flat = indices[..., 0].reshape(batch, -1, 1).expand(-1, -1, tags.shape[2])
    values = tags.gather(1, flat).reshape(batch, people, keypoints, -1)
    number = used.sum(dim=2).clamp(min=1)
    means = (values * used).sum(dim=2) / number  # (B, P, L)
    spread = ((values - means[:, :, None]).square() * used).sum(dim=2) / number
    present = used.amax(dim=(2, 3))  # (B, P)
    count = present.sum(dim=1)
    pull = spread.mean(dim=2).sum(dim=1) / count.clamp(min=1)
    gap = means[:, :, None] - means[:, None]
    if push == "exp":
        repel = torch.exp(-gap.square().sum(dim=3))
    elif push == "max":
        repel = (1 - gap.abs().sum(dim=3)).clamp(min=0)
    else:
        raise ValueError(f"push must be 'exp' or 'max', got {push!r}")
    repel = (repel * present[:, :, None] * present[:, None]).sum(dim=(1, 2))
    return 0.5 * (repel - count) / (count * (count - 1)).clamp(min=1), pull


def spatial_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, *, norm: Tensor | float | None = None
) -> Tensor:
    """Cross-entropy between each map's spatial softmax and its target, scaled to sum to one.

    Args:
        logits: (B, K, H, W). target: (B, K, H, W), not negative. weight: (B, K), 0 leaves a map out.
        norm: divides the weighted sum; None is the sum of the weights, but at least 1. A part of a batch
            takes the norm of the whole.

    Returns:
        Scalar, the weighted mean over maps.
    """
    flat = target.flatten(2)
    share = flat / flat.sum(dim=2, keepdim=True).clamp(min=1e-6)
    losses = -(share * functional.log_softmax(logits.flatten(2).float(), dim=2)).sum(dim=2)
    return (losses * weight).sum() / (weight.sum().clamp(min=1) if norm is None else norm)


def quality_focal(logits: Tensor, target: Tensor, weight: Tensor, *, norm: Tensor | float) -> Tensor:
    """Binary cross-entropy on the sigmoid, scaled by the squared error (Li et al. 2020, eq. 2, beta 2).

    Args:
        logits: (B, K, H, W). target: (B, K, H, W) in [0, 1]. weight: broadcastable to it.
        norm: divides the sum, about the total mass of all painted Gaussians.

    Returns:
        Scalar.
    """
    logits = logits.float()
    focus = (target - logits.sigmoid()).square()
    losses = focus * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * weight).sum() / norm
