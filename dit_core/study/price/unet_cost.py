"""What a U-Net costs, in closed form, and the U-Net that costs about as much as is wanted.

Multiply-accumulates are counted as for the Transformer: convolutions, linear layers and attention;
not norms, activations, softmax, resampling or sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dit_core.study.science.data import Data
from dit_core.study.science.unet import UNet

TIME_WIDTH = 4  # width of the time and label embedding, in channels of the first level


@dataclass(frozen=True, slots=True)
class Part:
    """One layer of the network: its kind, its channels, and the elements of its output."""

    kind: Literal["residual", "attention", "down", "up"]
    taken: int
    given: int
    elements: int


def parts(unet: UNet, data: Data) -> Iterator[Part]:
    """Yield the layers between first and last convolution, in the order they are run."""
    widths = unet.widths
    elements = [data.height * data.width // 4**level for level in range(unet.levels)]
    last = unet.levels - 1
    width = unet.channels
    kept = [width]  # channels of the results that the way up takes over
    for level, n in enumerate(elements):
        for _ in range(unet.layers):
            yield from _block(unet, level, width, n)
            width = widths[level]
            kept.append(width)
        if level < last:
            yield Part("down", width, width, n // 4)
            kept.append(width)
    yield Part("residual", width, width, elements[last])
    if unet.attention != "none":
        yield Part("attention", width, width, elements[last])
    yield Part("residual", width, width, elements[last])
    for level in reversed(range(unet.levels)):
        for _ in range(unet.layers + 1):
            yield from _block(unet, level, width + kept.pop(), elements[level])
            width = widths[level]
        if level > 0:
            yield Part("up", width, width, elements[level - 1])


def _block(unet: UNet, level: int, taken: int, elements: int) -> Iterator[Part]:
    width = unet.widths[level]
    yield Part("residual", taken, width, elements)
    if unet.attended[level]:
        yield Part("attention", width, width, elements)


def params(unet: UNet, data: Data, out_channels: int) -> int:
    """Return the number of trained parameters."""
    c = unet.channels
    wide = TIME_WIDTH * unet.channels
    total = 9 * data.channels * c + c  # first convolution
    total += (
        c * wide + wide + wide * wide + wide + (data.classes + 1) * wide
    )  # time, labels and the null class
    total += 2 * c + 9 * c * out_channels + out_channels  # last norm and convolution
    return total + sum(_part_params(part, wide) for part in parts(unet, data))


def _part_params(part: Part, wide: int) -> int:
    a = part.taken
    b = part.given
    if part.kind == "attention":
        return 2 * b + 4 * (b * b + b)
    if part.kind != "residual":
        return 9 * a * b + b
    shortcut = a * b + b if a != b else 0
    return 2 * a + 9 * a * b + b + (wide + 1) * 2 * b + 2 * b + 9 * b * b + b + shortcut


def fwd_macs(unet: UNet, data: Data, out_channels: int) -> int:
    """Return the multiply-accumulates of one forward pass of one sample."""
    c = unet.channels
    wide = TIME_WIDTH * unet.channels
    n = data.height * data.width
    total = 9 * n * c * (data.channels + out_channels) + c * wide + wide * wide
    return total + sum(_part_macs(part, wide) for part in parts(unet, data))


def _part_macs(part: Part, wide: int) -> int:
    a = part.taken
    b = part.given
    n = part.elements
    if part.kind == "attention":
        return n * 4 * b * b + 2 * n * n * b
    if part.kind != "residual":
        return 9 * n * a * b
    return 9 * n * (a * b + b * b) + (n * a * b if a != b else 0) + wide * 2 * b


def activation_bytes(unet: UNet, data: Data, narrow: int, grad_checkpoint: bool) -> int:
    """Return the bytes one training step keeps for its backward pass, per sample.

    `narrow` is the bytes of an element that a convolution or linear layer takes and gives, 2 under
    bf16. With `grad_checkpoint` a residual block keeps its input alone, and the largest is computed
    again.
    """
    c = unet.channels
    wide = TIME_WIDTH * unet.channels
    pixels = data.height * data.width
    total = 0
    largest = 0
    for part in parts(unet, data):
        kept = _kept(part, wide, narrow, unet.head_channels)
        entry = part.taken * part.elements * narrow
        saved = grad_checkpoint and part.kind == "residual"
        total = total + (entry if saved else kept)
        largest = max(largest, kept if saved else 0)
    ends = pixels * (data.channels * narrow + 3 * c * narrow) + 4 * (c + 5 * wide)
    loss = 4 * 12 * data.channels * pixels
    return total + largest + ends + loss


def _kept(part: Part, wide: int, narrow: int, head: int) -> int:
    """Return the bytes that one layer keeps; what it returns is counted where it is taken."""
    a = part.taken
    b = part.given
    n = part.elements
    if (
        part.kind == "attention"
    ):  # input, its normalised copy for each of q, k and v, these, and the result
        return 8 * n * b * narrow + 4 * n * (b // head)
    if part.kind != "residual":
        return narrow * a * n * (4 if part.kind == "down" else 1)
    # input, normalised and activated; result of the first convolution, normalised, shifted and
    # activated
    return narrow * n * (3 * a + 4 * b) + 4 * (wide + b)


def sized(
    macs: int, like: UNet, data: Data, out_channels: int, layers: tuple[int, ...] = (1, 2, 3, 4)
) -> UNet:
    """Return the U-Net whose forward pass costs nearest to `macs`, in the ratio of the two costs.

    Channels (in steps that groups and heads divide) and layers per level are chosen, layers among
    `layers`, of equally near ones those with fewer; all else is as in `like`. Raises ValueError
    where `like` does not take the data.
    """
    if misfit := like.misfit(data):
        raise ValueError(misfit)
    highest = next((level for level, on in enumerate(like.attended) if on), None)  # with attention
    head = (
        1
        if highest is None
        else like.head_channels // math.gcd(like.head_channels, like.growth**highest)
    )
    step = math.lcm(like.groups, 2, head)
    best: tuple[float, int, UNet] | None = None
    for count in layers:
        channels = step
        while True:
            made = UNet.model_validate({**like.model_dump(), "channels": channels, "layers": count})
            cost = fwd_macs(made, data, out_channels)
            off = abs(math.log(cost / macs))
            if best is None or (off, count) < best[:2]:
                best = (off, count, made)
            if cost > macs:
                break
            channels += step
    assert best is not None, "layers is not empty"
    return best[2]


def usual(data: Data) -> UNet:
    """Return the smallest U-Net of the usual form for the data.

    It has up to four levels, the lowest no smaller than 4 x 4.
    """
    side = min(data.height, data.width)
    levels = 1
    while (
        levels < 4
        and side // 2**levels >= 4
        and not data.height % 2**levels
        and not data.width % 2**levels
    ):
        levels += 1
    return UNet(channels=4, levels=levels, groups=4, head_channels=4)
