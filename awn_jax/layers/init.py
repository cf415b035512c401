"""Initial weights."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from awn_jax import widths


def triangular_uniform(
    key: PRNGKeyArray,
    inputs: widths.Axis,
    outputs: widths.Axis,
    taps: Sequence[int] = (),
    *,
    fan_in: str = "full",
    dtype: jnp.dtype | type = jnp.float32,
) -> Float[Array, "... C K"]:
    """Weights of shape (*taps, C, K), uniform in ±1/√(fan-in), zero where no weight exists.

    Args:
        key: random key.
        inputs: axis of the C inputs.
        outputs: axis of the K outputs.
        taps: the kernel's size in space; none for a dense layer.
        fan_in: `full` counts all C inputs for every output (PyTorch's default for the whole layer, which the paper uses);
            `visible` counts those that the output may read.
        dtype: of the result.

    Raises:
        ValueError: if `fan_in` is neither.
    """
    if fan_in not in ("full", "visible"):
        raise ValueError(f"fan_in must be 'full' or 'visible', got {fan_in!r}")
    visible = jnp.asarray(widths.visible_inputs(inputs, outputs), jnp.float32)
    counted = visible if fan_in == "visible" else jnp.full_like(visible, inputs.channels)
    bound = 1 / jnp.sqrt(math.prod(taps) * counted)
    shape = (*taps, inputs.channels, outputs.channels)
    weights = jax.random.uniform(key, shape, dtype, -1, 1) * bound.astype(dtype)
    return jnp.where(widths.mask(inputs, outputs), weights, 0)
