"""Layers whose first channels can be used alone: what triangular and ordinary ones have in common."""

import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import init
from kernels import Implementation, triangular_conv

Padding = Literal["SAME", "VALID"]


class Sliced(nnx.Module):
    """Weights from one axis to another of which a width uses the first ones, and an optional bias.

    Attributes:
        kernel: [*taps, C, K]; zero, and never used, where `visible` says that no weight exists.
        bias: [K], or None.
        keeps_prefix: whether a narrow output is the prefix of the wide one.
    """

    keeps_prefix: ClassVar[bool] = False

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
        bound = (math.prod(taps) * self.inputs.channels) ** -0.5
        bias = jax.random.uniform(rngs.params(), shape[-1:], dtype, -bound, bound) if use_bias else None
        self.bias = None if bias is None else nnx.Param(bias)

    def visible(self, width: widths.Width) -> tuple[int, ...]:
        """For each output that is active at a width, how many inputs it reads: here, all that are active."""
        return (self.inputs.active(width),) * self.outputs.active(width)

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
        bias = None if self.bias is None else self.bias[rows]
        return self.kernel[..., :reads, rows], self.visible(width)[rows], bias

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        """Applies weights that `sliced` gave."""
        raise NotImplementedError

    def weights(self, width: widths.Width) -> int:
        """The number of weights that exist at a width, biases not counted."""
        area = self.kernel.size // (self.inputs.channels * self.outputs.channels)
        return area * sum(self.visible(width))

    def cost(self, outputs_shape: tuple[int, ...], width: widths.Width) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one example) at a width, given the shape of a call's result."""
        positions = math.prod(outputs_shape[1:-1])
        weights = self.weights(width)
        return weights + (0 if self.bias is None else self.outputs.active(width)), weights * positions


class Conv(Sliced):
    """An ordinary 2-D convolution that runs with its first channels: every active output reads every active input.

    What an output computes changes with the width, so the layers of a network made of it need a norm of their own for each
    width: see `SwitchableBatchNorm` and `CalibratedBatchNorm`. For comparison; `TriConv` is the one to use.

    Args:
        inputs: input axis, or its number of channels.
        outputs: output axis, or its number of channels.
        kernel_size: rows and columns, or one number for both.
        strides: rows and columns, or one number for both.
        padding: `SAME` or `VALID`.
        use_bias: a bias for each output channel. Useless in front of a batch norm, so off.
        fan_in: what the initial scale counts, see `init.staircase_uniform`.
        dtype: of the weights.
        implementation: of the kernel; None takes the fastest on this platform, see `kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Source: Slimmable Neural Networks (Yu et al., 2019).
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


def check_channels(layer: nnx.Module, x: Array, expected: int, width: widths.Width) -> None:
    """Raises ValueError unless the last axis of `x` has the channels expected at a width."""
    if x.shape[-1] != expected:
        raise ValueError(
            f"{type(layer).__name__}: x must have {expected} channels at width={width}, got shape {x.shape}"
        )
