"""Convolution and dense layer with lower-triangular channels: the first outputs never look at later inputs."""

from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.sliced import Conv, Sliced
from kernels import Implementation, triangular_matmul


class Triangular(Sliced):
    """Weights of which only those in birth order exist: an output reads inputs born no later than itself."""

    keeps_prefix: ClassVar[bool] = True

    def visible(self, width: widths.Width) -> tuple[int, ...]:
        """For each output that is active at a width, how many inputs it reads: the same number at every width."""
        return widths.visible_inputs(self.inputs, self.outputs)[: self.outputs.active(width)]

    def rows(self, x: Array, width: widths.Width, after: widths.Width) -> Array:
        """The outputs that a width has and a narrower one, `after`, has not; at least one.

        Args:
            x: inputs with all channels that are active at `width`.
            width: the wider one, static.
            after: the narrower one, static.
        """
        return self.product(x, *self.sliced(x, width, after))


class TriConv(Triangular, Conv):
    """A 2-D convolution whose outputs read only input channels born no later than themselves.

    At a width, the slice of the weights is taken when the program is traced: a compiled program holds nothing else. A first
    layer reads every plane of an image: give `Axis.whole(planes)` as inputs. Arguments are those of `Conv`.

    Example:
        >>> conv = TriConv(32, 64, 3, rngs=nnx.Rngs(0))
        >>> conv(jnp.ones((8, 28, 28, 16)), width=0.5).shape
        (8, 28, 28, 32)

    Source: Any-Width Networks (Vu et al., 2020).
    """


class TriDense(Triangular):
    """A hidden dense layer whose outputs read only inputs born no later than themselves.

    Arguments are those of `Conv`, without the ones of its window. For the last layer, which gives the logits, use
    `AnyWidthHead`.
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
        """Multiplies; arguments and errors as for `Conv`."""
        return self.product(x, *self.sliced(x, width))

    def product(self, x: Array, kernel: Array, visible: tuple[int, ...], bias: Array | None) -> Array:
        y = triangular_matmul(x, kernel, visible, implementation=self.implementation)
        return y if bias is None else y + bias
