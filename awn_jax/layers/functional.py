"""Batch norm as pure functions of arrays. Each acts on every channel by itself, so the first k channels of its result depend
on the first k channels of its input alone.

Dimensions: B batch, C channels; between them pixels, if there are any.
"""

import functools

import jax
import jax.numpy as jnp
from awn_kernels.target import current_platform
from jax import lax
from jaxtyping import Array, Float, Shaped


def batch_moments(x: Float[Array, "B ... C"]) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Mean and biased variance of each channel over batch and space, in float32 or wider.

    The batch is the whole of it, also where its axis is sharded over devices.
    """
    x = x.astype(sum_type(x.dtype))
    count = x.size // x.shape[-1]
    mean = channel_sums(x) / count
    return mean, channel_sums(jnp.square(x - _spread(mean, x.shape))) / count


def normalise(
    x: Float[Array, "B ... C"],
    mean: Float[Array, " C"],
    var: Float[Array, " C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    epsilon: float,
) -> Float[Array, "B ... C"]:
    """`scale · (x − mean) / √(var + epsilon) + bias`, as one multiply-add for each element."""
    factor, shift = _line(mean, var, scale, bias, epsilon)
    return _along(x, per_channel(factor, x), per_channel(shift, x))


def normalise_by_batch(
    x: Float[Array, "B ... C"], scale: Float[Array, " C"], bias: Float[Array, " C"], epsilon: float
) -> tuple[Float[Array, "B ... C"], Float[Array, " C"], Float[Array, " C"]]:
    """`normalise` by the batch's own moments, whose gradient is fast as well; and those moments."""
    mean, var = batch_moments(x)
    factor, shift = _line(mean, var, scale, bias, epsilon)
    return _along(x, _spread(factor, x.shape), _spread(shift, x.shape)), mean, var


def _line(mean: Array, var: Array, scale: Array, bias: Array, epsilon: float) -> tuple[Array, Array]:
    factor = scale.astype(var.dtype) * lax.rsqrt(var + epsilon)
    return factor, bias.astype(var.dtype) - mean * factor


def _along(x: Array, factor: Array, shift: Array) -> Array:
    return (x.astype(factor.dtype) * factor + shift).astype(x.dtype)


def sum_type(dtype: jnp.dtype | type) -> jnp.dtype:
    """The type to add up numbers of a type in: float32, or their own if that is wider."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)


def per_channel(v: Shaped[Array, " C"], like: Shaped[Array, "... C"]) -> Shaped[Array, "... C"]:
    """One number for each channel, with axes of size one in front, to go together with features."""
    return v.reshape((1,) * (like.ndim - 1) + v.shape)


def channel_sums(x: Float[Array, "B ... C"]) -> Float[Array, " C"]:
    """The sum of each channel over batch and space."""
    if current_platform() != "cpu":
        return x.sum(tuple(range(x.ndim - 1)))
    # As a product with ones, image by image: XLA's sum over pixels takes three to five times as long on a CPU.
    x = x.reshape(x.shape[0], -1, x.shape[-1])
    ones = jnp.ones(x.shape[:2], x.dtype)
    return lax.dot_general(ones, x, (((1,), (1,)), ((0,), (0,))), precision=lax.Precision.HIGHEST).sum(0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _spread(v: Float[Array, " C"], shape: tuple[int, ...]) -> Float[Array, "B ... C"]:
    # The same value for every pixel; its gradient is a sum over pixels.
    return jnp.broadcast_to(v, shape)


_spread.defvjp(lambda v, shape: (_spread(v, shape), None), lambda shape, _, dy: (channel_sums(dy),))
