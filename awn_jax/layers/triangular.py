"""Convolution and dense layer with lower-triangular channels: the first outputs never look at later inputs."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import init
from kernels import Implementation, triangular_conv, triangular_matmul

Padding = Literal["SAME", "VALID"]


class Triangular(nnx.Module):
    """Weights from one axis to another of which only those in birth order exist, and an optional bias.

    Attributes:
        kernel: [*taps, C, K]; zero, and never used, where the output is born before the input.
        bias: [K], or None.
    """

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
        kernel = init.triangular_uniform(rngs.params(), self.inputs, self.outputs, taps, fan_in=fan_in, dtype=dtype)
        self.kernel = nnx.Param(kernel)
        # PyTorch's default: the bound of the weights, taken from the whole layer.
        bound = (math.prod(taps) * self.inputs.channels) ** -0.5
        shape = (self.outputs.channels,)
        self.bias = nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound)) if use_bias else None

    def sliced(
        self, x: Array, width: widths.Width, after: widths.Width | None = None
    ) -> tuple[Array, tuple[int, ...], Array | None]:
        """The weights, visible inputs and bias of the outputs at a width; of those born `after` a narrower one, if given.

        Raises:
            ValueError: if `x` does not have the input channels of that width.
        """
        reads, writes = self.inputs.active(width), self.outputs.active(width)
        check_channels(self, x, reads, width)
        rows = slice(0 if after is None else self.outputs.active(after), writes)
        visible = widths.visible_inputs(self.inputs, self.outputs)[rows]
        bias = None if self.bias is None else self.bias[rows]
        return self.kernel[..., :reads, rows], visible, bias

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        """Applies weights that `sliced` gave."""
        raise NotImplementedError

    def rows(self, x: Array, width: widths.Width, after: widths.Width) -> Array:
        """The outputs that a width has and a narrower one, `after`, has not; at least one.

        Args:
            x: inputs with all channels that are active at `width`.
            width: the wider one, static.
            after: the narrower one, static.
        """
        return self.product(x, *self.sliced(x, width, after))

    def weights(self, width: widths.Width) -> int:
        """The number of weights that exist at a width, biases not counted."""
        area = self.kernel.size // (self.inputs.channels * self.outputs.channels)
        return area * sum(widths.visible_inputs(self.inputs, self.outputs)[: self.outputs.active(width)])

    def cost(self, outputs_shape: tuple[int, ...], width: widths.Width) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one example) at a width, given the shape of a call's result."""
        positions = math.prod(outputs_shape[1:-1])
        weights = self.weights(width)
        return weights + (0 if self.bias is None else self.outputs.active(width)), weights * positions


class TriConv(Triangular):
    """A 2-D convolution whose outputs read only input channels born no later than themselves.

    At a width, the slice of the weights is taken when the program is traced: a compiled program holds nothing else. A first
    layer reads every plane of an image: give `Axis.whole(planes)` as inputs.

    Args:
        inputs: input axis, or its number of channels.
        outputs: output axis, or its number of channels.
        kernel_size: rows and columns, or one number for both.
        strides: rows and columns, or one number for both.
        padding: `SAME` or `VALID`.
        use_bias: a bias for each output channel. Useless in front of a batch norm, so off.
        fan_in: what the initial scale counts, see `init.triangular_uniform`.
        dtype: of the weights.
        implementation: of the kernel; None takes the fastest on this platform, see `kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Example:
        >>> conv = TriConv(32, 64, 3, rngs=nnx.Rngs(0))
        >>> conv(jnp.ones((8, 28, 28, 16)), width=0.5).shape
        (8, 28, 28, 32)

    Source: Any-Width Networks (Vu et al., 2020).
    """

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int | widths.Axis,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = 1,
        padding: Padding = "SAME",
        use_bias: bool = False,
        fan_in: str = "full",
        dtype: jnp.dtype | type = jnp.float32,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
    ):
        taps = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        super().__init__(inputs, outputs, taps, use_bias=use_bias, fan_in=fan_in, dtype=dtype, rngs=rngs)
        self.strides, self.padding, self.implementation = strides, padding, implementation

    def __call__(self, x: Float[Array, "B H W C"], width: widths.Width = 1) -> Float[Array, "B h w K"]:
        """Convolves.

        Args:
            x: images or features with the channels that are active at `width`.
            width: α, in (0, 1]; static.

        Raises:
            ValueError: if `x` has another number of channels, or `width` is outside (0, 1].
        """
        return self.product(x, *self.sliced(x, width))

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        y = triangular_conv(
            x, kernel, visible, strides=self.strides, padding=self.padding, implementation=self.implementation
        )
        return y if bias is None else y + bias


class TriDense(Triangular):
    """A hidden dense layer whose outputs read only inputs born no later than themselves.

    Arguments are those of `TriConv`. For the last layer, which gives the logits, use `AnyWidthHead`.
    """

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int | widths.Axis,
        *,
        use_bias: bool = True,
        fan_in: str = "full",
        dtype: jnp.dtype | type = jnp.float32,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(inputs, outputs, (), use_bias=use_bias, fan_in=fan_in, dtype=dtype, rngs=rngs)
        self.implementation = implementation

    def __call__(self, x: Float[Array, "... C"], width: widths.Width = 1) -> Float[Array, "... K"]:
        """Multiplies; arguments and errors as for `TriConv`."""
        return self.product(x, *self.sliced(x, width))

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        y = triangular_matmul(x, kernel, visible, implementation=self.implementation)
        return y if bias is None else y + bias


def check_channels(layer: nnx.Module, x: Array, expected: int, width: widths.Width) -> None:
    """Raises ValueError unless the last axis of `x` has the channels expected at a width."""
    if x.shape[-1] != expected:
        raise ValueError(
            f"{type(layer).__name__}: x must have {expected} channels at width={width}, got shape {x.shape}"
        )
