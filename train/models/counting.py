"""Count what a network costs: parameters and multiply-adds, in all and by the parts of its paper's figure.

A multiply-add is one product and one sum. All convolutions, transposed convolutions and linear layers are
counted, as in the papers; batch norm, activations, pooling and upsampling are not. A transposed convolution
multiplies each of its input pixels by its kernel.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Size = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartCost:
    """One part of a network.

    Attributes:
        name: as in the paper's figure: stem, layer1, transition1, stage2, ..., deconvolution 1, heads; of a
            hourglass stem, stack 1, stack 2, ...
        outputs: (C, H, W) of what leaves it for one picture, several where it has branches.
        parameters: weights and biases.
        macs: multiply-adds for one picture.
    """

    name: str
    outputs: tuple[Shape, ...]
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class _Part:
    """name: of the part; members: modules that belong to it; leaving: those whose outputs leave it."""

    name: str
    members: tuple[str, ...]
    leaving: tuple[str, ...]


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights and biases."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, input_size: Size, *, kernel_per_output: bool = False) -> int:
    """Return the multiply-adds for one (3, height, width) picture.

    Args:
        network: what `train.models.build_model` returned, with or without memory for its weights.
        input_size: (height, width) of the picture.
        kernel_per_output: count a transposed convolution as a kernel for each of its output pixels, stride
            squared times too many, as the figures of Cheng et al. 2020 do.

    Raises:
        UsageError: the network does not take this size.
    """
    macs: list[int] = []

    def note(module: nn.Module, given: Tensor, output: Tensor) -> None:
        factor = 1
        if kernel_per_output and isinstance(module, nn.ConvTranspose2d):
            factor = module.stride[0] * module.stride[1]
        macs.append(factor * _macs(module, given, output))

    with _watching({module: note for module in network.modules() if isinstance(module, _COUNTED)}):
        _run(network, input_size)
    return sum(macs)


def count_parts(network: nn.Module, input_size: Size) -> list[PartCost]:
    """Return the cost of every part of a network, in the order in which a picture goes through them.

    Args:
        network: what `train.models.build_model` returned, with or without memory for its weights.
        input_size: (height, width) of the picture.

    Raises:
        UsageError: the network does not take this size.
    """
    parts = _parts(network)
    macs = {part.name: 0 for part in parts}
    leaving: dict[str, tuple[Shape, ...]] = {}
    hooks: dict[nn.Module, Callable[[nn.Module, Tensor, Any], None]] = {}
    owners = {name: _owner(parts, name) for name, _ in network.named_modules()}
    leaves = {name: part for part in parts for name in part.leaving}

    def watch(name: str) -> Callable[[nn.Module, Tensor, Any], None]:
        def note(module: nn.Module, given: Tensor, output: Any) -> None:
            if isinstance(module, _COUNTED):
                macs[owners[name].name] += _macs(module, given, output)
            if name in leaves:
                outputs = output if isinstance(output, list) else [output]
                part = leaves[name].name
                leaving[part] = leaving.get(part, ()) + tuple(tuple(maps.shape[1:]) for maps in outputs)

        return note

    for name, module in network.named_modules():
        if isinstance(module, _COUNTED) or name in leaves:
            hooks[module] = watch(name)
    with _watching(hooks):
        _run(network, input_size)
    parameters = {part.name: 0 for part in parts}
    for name, parameter in network.named_parameters():
        parameters[_owner(parts, name).name] += parameter.numel()
    return [PartCost(p.name, leaving[p.name], parameters[p.name], macs[p.name]) for p in parts]


_COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def _macs(module: nn.Module, given: Tensor, output: Tensor) -> int:
    assert isinstance(module, _COUNTED)
    if isinstance(module, nn.ConvTranspose2d):
        return given[0].numel() * module.weight[0].numel()
    return output[0].numel() * module.weight[0].numel()


@contextmanager
def _watching(hooks: dict[nn.Module, Callable[[nn.Module, Tensor, Any], None]]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(lambda module, given, output, note=note: note(module, given[0], output))
        for module, note in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _run(network: nn.Module, input_size: Size) -> None:
    """Send a picture through the network's shapes, without computing or filling any memory."""
    state = {name: torch.empty_like(value, device="meta") for name, value in network.state_dict().items()}
    was_training = network.training
    network.eval()
    try:
        functional_call(network, state, torch.zeros(1, 3, *input_size, device="meta"))
    finally:
        network.train(was_training)


def _owner(parts: Sequence[_Part], name: str) -> _Part:
    """Return the part that a module or parameter belongs to; a container of several goes to the first."""
    for part in parts:
        if any(name == member or name.startswith(f"{member}.") for member in part.members):
            return part
    return parts[0]


def _parts(network: nn.Module) -> list[_Part]:
    """Name the parts of HRNet, HigherHRNet or a hourglass; any other network is one part."""
    names = {name for name, _ in network.named_modules()}
    if "stage4" in names:
        return _hrnet_parts(names)
    if "hgs" in names:
        stacks = ("hgs", "features", "outs", "merge_features", "merge_preds")
        return _hourglass_parts(names, ("pre",), "pre", stacks, "outs")
    if "hg" in names:
        stem = ("conv1", "bn1", "layer1", "layer2", "layer3")
        return _hourglass_parts(names, stem, "layer3", ("hg", "res", "fc", "score", "fc_", "score_"), "score")
    return [_Part("network", tuple(names), ("",))]


def _hrnet_parts(names: set[str]) -> list[_Part]:
    parts = [
        _Part("stem", ("conv1", "bn1", "conv2", "bn2"), ("bn2",)),
        _Part("layer1", ("layer1",), ("layer1",)),
    ]
    for stage in (2, 3, 4):
        transition = f"transition{stage - 1}"
        branches = tuple(f"{transition}.{branch}" for branch in range(stage))
        parts += [
            _Part(transition, (transition,), branches),
            _Part(f"stage{stage}", (f"stage{stage}",), (f"stage{stage}",)),
        ]
    for place in range(sum(f"deconv_layers.{number}" in names for number in range(len(names)))):
        parts.append(
            _Part(f"deconvolution {place + 1}", (f"deconv_layers.{place}",), (f"deconv_layers.{place}",))
        )
    heads = tuple(sorted(name for name in names if name.startswith("final_layers.") or name == "final_layer"))
    return [*parts, _Part("heads", heads, heads)]


def _hourglass_parts(
    names: set[str], stem: tuple[str, ...], stem_end: str, members: tuple[str, ...], head: str
) -> list[_Part]:
    parts = [_Part("stem", stem, (stem_end,))]
    for stack in range(sum(f"{head}.{number}" in names for number in range(len(names)))):
        owned = tuple(f"{member}.{stack}" for member in members)
        parts.append(_Part(f"stack {stack + 1}", owned, (f"{head}.{stack}",)))
    return parts
