"""Dropout that grows with a channel's birth: what is left out while training is what wide networks alone have."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def late_dropout(key: PRNGKeyArray, x: Float[Array, "B H W C"], rate: float, channels: int) -> Float[Array, "B H W C"]:
    """Sets features to zero at random, each channel's at its own rate, and scales up the others to keep the mean.

    The rate grows in proportion from 0 for the first of `channels` to `rate` for the last: a wide network learns its
    training images by heart long before a narrow one does. The same key leaves out the same features at every width, so
    a narrow result stays the prefix of a wide one.

    Args:
        key: of the draw.
        x: features of the first C channels.
        rate: of the last channel, in [0, 1).
        channels: at full width.
    """
    active = x.shape[-1]
    rates = jnp.linspace(0, rate, channels, dtype=jnp.float32)
    kept = jax.random.uniform(key, (*x.shape[:-1], channels)) >= rates
    scale = (1 / (1 - rates)).astype(x.dtype)
    return jnp.where(kept[..., :active], x * scale[:active], 0)
