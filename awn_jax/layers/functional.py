"""Batch norm and pooling as pure functions of arrays. Each acts on every channel by itself, so the first k channels of its
result depend on the first k channels of its input alone.

Dimensions: B batch, H height, W width in pixels, C channels.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def batch_moments(x: Float[Array, "B H W C"]) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Mean and biased variance of each channel over batch and space, in float32 or wider.

    The batch is the whole of it, also where its axis is sharded over devices.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = x.mean((0, 1, 2))
    return mean, jnp.square(x - mean).mean((0, 1, 2))


def normalise(
    x: Float[Array, "B H W C"],
    mean: Float[Array, " C"],
    var: Float[Array, " C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    epsilon: float,
) -> Float[Array, "B H W C"]:
    """`scale · (x − mean) / √(var + epsilon) + bias`, as one multiply-add for each element."""
    factor = scale * lax.rsqrt(var + epsilon)
    return (x * factor + (bias - mean * factor)).astype(x.dtype)


def max_pool(x: Float[Array, "B H W C"], window: int = 2) -> Float[Array, "B h w C"]:
    """The maximum of each `window` × `window` square, side by side; rows and columns left over are dropped.

    A maximum over a reshaped array: the gradient of `lax.reduce_window` takes seven times as long on a CPU. Where several
    elements of a square are equal, they share the gradient.
    """
    batch, height, width, channels = x.shape
    height, width = height // window, width // window
    x = lax.slice(x, (0, 0, 0, 0), (batch, height * window, width * window, channels))
    return x.reshape(batch, height, window, width, window, channels).max((2, 4))
