"""A hidden dense layer with triangular channels."""

import jax.numpy as jnp
from awn_kernels import Implementation, triangular_matmul
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.functional import per_channel
from awn_jax.layers.op import Ordinary
from awn_jax.layers.sliced import Sliced, Triangular


class Dense(Sliced):
    """An ordinary dense layer on the last axis that runs with its first channels. For comparison, as `Conv` is.

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

    def product(
        self, x: Float[Array, "... C"], kernel: Array, visible: tuple[int, ...], bias: Array | None
    ) -> Float[Array, "... K"]:
        y = triangular_matmul(x, kernel, visible, implementation=self.implementation)
        return y if bias is None else y + per_channel(bias, y)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("dense", self.at_width(width))


class TriDense(Triangular, Dense):
    """A hidden dense layer whose outputs read only inputs born no later than themselves. Arguments are those of `Dense`."""
