"""Layers of which a narrow level has some of the connections, between all channels.

Dimensions: C input channels, K output channels, N widths.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from awn_jax import widths
from awn_jax.layers.conv import Conv
from awn_jax.layers.dense import Dense
from awn_jax.layers.op import Costs
from awn_jax.layers.sliced import Sliced


class Levels(nnx.Variable[Array]):
    """The level at which each connection is born: no parameter, and the same for the life of a network."""


class Connections(Sliced):
    """Weights of which a level has the first ones in the order of their initial size, the largest first.

    At width α, a level has the share α of the weights, and every level's weights are some of the next one's. Which they are
    follows no order of channels, so nothing that a narrow level computes is of use to a wider one, and a masked product costs
    what a whole one does, unless the hardware skips zeros. The multiply-accumulates counted are those of the weights there are.

    Args:
        inputs, outputs: as `Conv` has them; their channels are there at every level.
        at: the widths of the levels; the widest is 1.
        options: of the ordinary layer.

    Attributes:
        levels: an axis with an entry for each level, born where the one before it ends.
        born: [*taps, C, K], the number of each weight's first level.

    Raises:
        ValueError: if the widest level is not 1, or a channel is not there at every level.

    Source: NestedNet (Kim et al., 2018), its masks of single connections.
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(self, inputs: Any, outputs: Any, *window: Any, at: Sequence[widths.Width], **options: Any):
        super().__init__(inputs, outputs, *window, **options)
        if not (self.inputs.is_whole and self.outputs.is_whole):
            raise ValueError(f"axes of {type(self).__name__} must be whole, got channels that are born later")
        self.levels = level_axis(at)
        size, exact = self.kernel.size, sorted(map(widths.exact_width, at))
        self._counts = tuple(max(1, math.ceil(width * size - Fraction(1, 2))) for width in exact)
        order = jnp.argsort(-jnp.abs(self.kernel[...]).reshape(-1))
        numbers = np.repeat(np.arange(len(exact), dtype=np.uint8), np.diff([0, *self._counts]))
        self.born = Levels(jnp.zeros(size, jnp.uint8).at[order].set(numbers).reshape(self.kernel.shape))

    def sliced(
        self, x: Array, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, tuple[int, ...], Array | None]:
        if isinstance(width, widths.Drawn):
            raise TypeError(f"{type(self).__name__} runs at widths that are known beforehand, not at random ones")
        x, kernel, visible, bias = super().sliced(x, width, after)
        return x, jnp.where(self.born[...] < self.levels.active(width), kernel, 0), visible, bias

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        weights = np.asarray(self._counts)[self.levels.active_at(at) - 1]
        return Costs(weights + (0 if self.bias is None else self.outputs.channels), weights * math.prod(shape[:-1]))

    def at_width(self, width: widths.Width) -> dict[str, np.ndarray]:
        found = super().at_width(width)
        there = np.asarray(self.born[...]) < self.levels.active(width)
        return {**found, "kernel": np.where(there, found["kernel"], 0)}


def level_axis(at: Sequence[widths.Width]) -> widths.Axis:
    """An axis with one entry more at each of some widths than at the one before; in between, with those of the next larger.

    Raises:
        ValueError: if the widest is not 1.
    """
    exact = sorted(widths.exact_width(width) for width in at)
    if not exact or exact[-1] != 1 or len(set(exact)) < len(exact):
        raise ValueError(f"levels must be different widths of which the widest is 1, got {tuple(at)}")
    denominator = math.lcm(*(width.denominator for width in exact))
    return widths.Axis((0, *(int(width * denominator) for width in exact[:-1])), denominator)


class MaskedConv(Connections, Conv):
    """An ordinary convolution of which a level has some of the connections."""


class MaskedDense(Connections, Dense):
    """An ordinary dense layer of which a level has some of the connections."""
