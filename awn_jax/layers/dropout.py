"""Dropout for networks of many widths, the same at every width but for its rate."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def dropout(key: PRNGKeyArray, x: Float[Array, "B H W C"], rate: float, channels: int) -> Float[Array, "B H W C"]:
    """Sets a share of the features to zero at random, and scales up the others to keep the mean.

    With the same key, a narrow network misses the features that a wide one misses among its own, or fewer at a lower rate.

    Args:
        key: of the draw.
        x: features of the first C channels.
        rate: in [0, 1).
        channels: at full width.
    """
    kept = jax.random.uniform(key, (*x.shape[:-1], channels))[..., : x.shape[-1]] >= rate
    return jnp.where(kept, x / (1 - rate), 0)
