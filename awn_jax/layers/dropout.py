"""Dropout for networks of many widths: a narrow network misses what a wide one misses among its channels.

Dimensions: B batch, C channels; between them pixels, if there are any.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from awn_jax import widths
from awn_jax.layers.op import Layer, Ordinary, check_channels


def dropout(
    key: PRNGKeyArray, x: Float[Array, "B ... C"], rate: float | Float[Array, ""], channels: int
) -> Float[Array, "B ... C"]:
    """Sets a share of the features to zero at random, and scales up the others to keep the mean.

    With the same key, a narrow network misses the features that a wide one misses among its own, or fewer at a lower rate.

    Args:
        key: of the draw.
        x: features of the first C channels.
        rate: in [0, 1); may be data.
        channels: at full width.
    """
    kept = jax.random.uniform(key, (*x.shape[:-1], channels))[..., : x.shape[-1]] >= rate
    return jnp.where(kept, x / (1 - rate), 0)


class Dropout(Layer):
    """Dropout anywhere in a network, the same at every width; nothing is dropped in inference mode (`model.eval()`).

    Args:
        axis: channels, or their number.
        rate: share of the features, in [0, 1).
        rngs: source of the draws (stream `dropout`); its counter moves at every call, and is part of a checkpoint.

    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(self, axis: int | widths.Axis, rate: float, *, rngs: nnx.Rngs):
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1), got {rate}")
        self.axis, self.rate, self.deterministic = widths.Axis.of(axis), rate, False
        self.rngs = rngs.dropout.fork()

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        check_channels(self, x, self.axis.active(width), width)
        if self.deterministic or not self.rate:
            return x
        return dropout(self.rngs(), x, self.rate, self.axis.channels)

    def added(self, x: Float[Array, "B ... C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B ... C"]:
        return x

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.axis

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("identity")
