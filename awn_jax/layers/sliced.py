"""Layers whose first channels can be used alone: what triangular and ordinary ones have in common.

Dimensions: C input channels, K output channels.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from awn_jax import widths
from awn_jax.layers import init
from awn_jax.layers.op import Costs, Layer, check_channels


class Sliced(Layer):
    """Weights from one axis to another of which a width uses the first ones, and an optional bias.

    Attributes:
        kernel: [*taps, C, K]; zero, and never used, where `visible` says that no weight exists.
        bias: [K], or None.
    """

    keeps_prefix: ClassVar[bool] = False
    reads_whole: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int | widths.Axis,
        taps: tuple[int, ...],
        *,
        use_bias: bool,
        fan_in: str,
        dtype: jnp.dtype | type,
        rngs: nnx.Rngs,
    ):
        self.inputs, self.outputs = widths.Axis.of(inputs), widths.Axis.of(outputs)
        shape = (*taps, self.inputs.channels, self.outputs.channels)
        kernel = init.staircase_uniform(rngs.params(), shape, self.visible(1), fan_in=fan_in, dtype=dtype)
        self.kernel = nnx.Param(kernel)
        # PyTorch's default: the bound of the weights, taken from the whole layer.
        bias = (
            uniform_bias(rngs.params(), math.prod(taps) * self.inputs.channels, shape[-1], dtype) if use_bias else None
        )
        self.bias = None if bias is None else nnx.Param(bias)

    def visible(self, width: widths.AnyWidth) -> tuple[int, ...]:
        """For each output that is active at a width, how many inputs it reads: here, all that are active."""
        return (self.inputs.active(width),) * self.outputs.active(width)

    def sliced(
        self, x: Array, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, tuple[int, ...], Array | None]:
        """The input, the weights, the visible inputs and the bias of the outputs at a width; of those born `after` a narrower
        one, if given.

        Raises:
            ValueError: if `x` does not have the input channels of that width.
        """
        reads, writes = self.inputs.active(width), self.outputs.active(width)
        check_channels(self, x, reads, width)
        new = slice(0 if after is None else self.outputs.active(after), writes)
        bias = None if self.bias is None else self.bias[new]
        kernel = self.kernel[..., :reads, new]
        return self.inputs.kept(x.astype(kernel.dtype), width), kernel, self.visible(width)[new], bias

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        """Applies weights that `sliced` gave."""
        raise NotImplementedError

    def apply(self, x: Array, *, width: widths.AnyWidth = 1) -> Array:
        return self.product(*self.sliced(x, width))

    def added(self, x: Array, *, width: widths.Width, after: widths.Width) -> Array:
        return self.product(*self.sliced(x, width, after))

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.outputs

    def exists(self, width: widths.Width = 1) -> Bool[np.ndarray, "C K"]:
        """Which outputs read which inputs, of those that are active at a width."""
        return np.arange(self.inputs.active(width))[:, None] < np.asarray(self.visible(width))

    def weights(self, reads: Int[np.ndarray, " N"], writes: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """How many weights exist between so many active inputs and outputs, biases not counted."""
        return self.area * reads * writes

    @property
    def area(self) -> int:
        """Weights between one input and one output."""
        return math.prod(self.kernel.shape[:-2])

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        writes = self.outputs.active_at(at)
        weights = self.weights(self.inputs.active_at(at), writes)
        return Costs(weights + (0 if self.bias is None else writes), weights * math.prod(shape[:-1]))

    def at_width(self, width: widths.Width) -> dict[str, np.ndarray]:
        """Kernel and bias at a width in double precision, zero where no weight exists."""
        reads, writes = self.inputs.active(width), self.outputs.active(width)
        kernel = np.where(self.exists(width), np.asarray(self.kernel[...], np.float64)[..., :reads, :writes], 0)
        bias = np.zeros(writes) if self.bias is None else np.asarray(self.bias[...], np.float64)[:writes]
        return {"kernel": kernel, "bias": bias}


class Triangular(Sliced):
    """Weights of which only those in birth order exist: an output reads inputs born no later than itself."""

    keeps_prefix: ClassVar[bool] = True

    def visible(self, width: widths.AnyWidth) -> tuple[int, ...]:
        """For each output that is active at a width, how many inputs it reads: the same number at every width."""
        return widths.visible_inputs(self.inputs, self.outputs)[: self.outputs.active(width)]

    def weights(self, reads: Int[np.ndarray, " N"], writes: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        return self.area * np.cumsum([0, *self.visible(1)])[writes]


def uniform_bias(key: PRNGKeyArray, fan_in: int, size: int, dtype: jnp.dtype | type) -> Float[Array, " K"]:
    """Initial biases, uniform in ±1/√(fan-in)."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, (size,), dtype, -bound, bound)
