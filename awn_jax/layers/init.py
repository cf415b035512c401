"""Initial weights."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def staircase_uniform(
    key: PRNGKeyArray,
    shape: Sequence[int],
    visible: Sequence[int],
    *,
    fan_in: str = "full",
    dtype: jnp.dtype | type = jnp.float32,
) -> Float[Array, "... C K"]:
    """Weights uniform in ±1/√(fan-in), zero where no weight exists.

    Args:
        key: random key.
        shape: (*taps, C, K); a dense layer has no taps.
        visible: for each of the K outputs, how many leading inputs it reads.
        fan_in: `full` counts all C inputs for every output (PyTorch's default for the whole layer, which the paper uses);
            `visible` counts those that the output may read.
        dtype: of the result.

    Raises:
        ValueError: if `fan_in` is neither.
    """
    if fan_in not in ("full", "visible"):
        raise ValueError(f"fan_in must be 'full' or 'visible', got {fan_in!r}")
    *taps, inputs, _ = shape
    reads = jnp.asarray(visible)
    counted = reads.astype(jnp.float32) if fan_in == "visible" else jnp.full(reads.shape, float(inputs))
    bound = 1 / jnp.sqrt(math.prod(taps) * counted)
    weights = jax.random.uniform(key, shape, dtype, -1, 1) * jnp.broadcast_to(bound.astype(dtype), shape)
    exists = jnp.arange(inputs)[:, None] < reads[None]
    return jnp.where(jnp.broadcast_to(exists, shape), weights, 0)
