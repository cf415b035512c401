"""Between NHWC and what the copy engine reads: whole 16 bytes, whole strides, whole blocks of weights."""

import jax.numpy as jnp
from jax import Array

from ..geometry import Padding, Strides, round_up
from .config import LANE, ConvTiling
from .shared import interpreting

# The copy engine wants strides of whole 16 bytes.
CHANNEL_MULTIPLE = 8


def block_weights(w: Array, config: ConvTiling) -> Array:
    """Returns [taps, C, K], zero-padded to whole blocks; one pass over the weights, together with the mask."""
    kh, kw, c, k = w.shape
    pads = ((0, 0), (0, round_up(c, LANE) - c), (0, round_up(k, config.columns) - k))
    return jnp.pad(w.reshape(kh * kw, c, k), pads)


def pad_channels(x: Array) -> Array:
    """Returns x with channels of zeros up to the next multiple of `CHANNEL_MULTIPLE`."""
    missing = -x.shape[-1] % CHANNEL_MULTIPLE
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x


def pad_low(x: Array, padding: Padding, asked: bool) -> tuple[Array, Padding]:
    """Returns the image and the padding left to the copy engine; interpret mode knows no negative coordinates."""
    (top, bottom), (left, right) = padding
    if not (asked or interpreting()):
        return x, padding
    return jnp.pad(x, ((0, 0), (top, 0), (left, 0), (0, 0))), ((0, bottom), (0, right))


def split_phases(x: Array, strides: Strides) -> Array:
    """Returns [B, H / s, s, W / s, s, C], padded to whole strides."""
    batch, height, width, channels = x.shape
    more = (-height % strides[0], -width % strides[1])
    if any(more):
        x = jnp.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)))
    return x.reshape(batch, x.shape[1] // strides[0], strides[0], x.shape[2] // strides[1], strides[1], channels)
