"""More pixels out of few, of every channel by itself.

Dimensions: B batch, H height, W width in pixels, C channels.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.op import Op, Ordinary, run
from awn_jax.layers.window import pair


@dataclasses.dataclass(frozen=True)
class Upsample(Op):
    """Every pixel many times.

    Attributes:
        factor: how many rows and columns each pixel becomes.
    """

    factor: tuple[int, int]

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        (batch, height, breadth, channels), (rows, columns) = x.shape, self.factor
        # A broadcast, whose gradient is a sum; that of a gather would add up number by number.
        many = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, rows, breadth, columns, channels))
        return many.reshape(batch, height * rows, breadth * columns, channels)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("upsample", settings={"factor": self.factor})


def upsample(x: Float[Array, "B H W C"], factor: int | tuple[int, int] = 2) -> Float[Array, "B h w C"]:
    """Makes an image larger by giving each pixel to a whole rectangle: nearest-neighbour upsampling.

    Args:
        x: features.
        factor: how many rows and columns each pixel becomes, or one number for both.

    Raises:
        ValueError: if a factor is no whole number of at least 1.

    Example:
        >>> upsample(jnp.arange(2.0).reshape(1, 1, 2, 1))[0, :, :, 0]
        Array([[0., 0., 1., 1.],
               [0., 0., 1., 1.]], dtype=float32)
    """
    return run(Upsample(pair(factor, "factor")), (x,), 1)
