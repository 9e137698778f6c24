"""Count the multiply-adds of a network's convolutions at one input size."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def count_macs(network: nn.Module, input_size: tuple[int, int]) -> int:
    """Return multiply-adds of all convolutions for one (3, height, width) picture."""
    total = 0

    def hook(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        kernel = module.weight[0].numel() if isinstance(module, nn.Conv2d) else module.weight[:, 0].numel()
        positions = (
            output[0].numel() if isinstance(module, nn.Conv2d) else output[0].numel() // module.stride[0] ** 2
        )
        total += kernel * positions

    handles = [
        module.register_forward_hook(hook)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    was_training = network.training
    network.eval()(torch.zeros(1, 3, *input_size))
    network.train(was_training)
    for handle in handles:
        handle.remove()
    return total
