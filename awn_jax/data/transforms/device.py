"""Transforms of a batch, compiled into the training step.

Each is a pure function `(key, examples, **options) -> examples`; `examples["image"]` is [B, H, W, P], uint8 in 0 to 255 or
floats, and is of the same type and shape on the way out. Boxes, points and instances are moved along, see `geometry.moved`.

Dimensions: B batch, H height, W width, P planes.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray

from awn_jax.data.images import white
from awn_jax.data.transforms import places

Examples = dict[str, Any]


def flip(key: PRNGKeyArray, examples: Examples, pairs: tuple[tuple[int, int], ...] = ()) -> Examples:
    """Each image mirrored, left to right, half of the time.

    Args:
        key: of the random numbers.
        examples: the batch.
        pairs: numbers of key points that change places, as a left and a right ear do.
    """
    return places.either(drawn(key, 0.5, examples["image"]), places.mirrored(examples, pairs), examples)


def flip_vertical(key: PRNGKeyArray, examples: Examples, pairs: tuple[tuple[int, int], ...] = ()) -> Examples:
    """Each image mirrored, top to bottom, half of the time; arguments are those of `flip`."""
    upside_down = places.transposed(places.mirrored(places.transposed(examples), pairs))
    return places.either(drawn(key, 0.5, examples["image"]), upside_down, examples)


def transpose(key: PRNGKeyArray, examples: Examples, pairs: tuple[tuple[int, int], ...] = ()) -> Examples:
    """Rows and columns of each image exchanged half of the time: with both flips, all eight ways to look at a square.

    Args:
        key: of the random numbers.
        examples: the batch; images are square.
        pairs: see `flip`.

    Raises:
        ValueError: if images are not square.
    """
    images = examples["image"]
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"transpose takes square images, got {images.shape[1]} × {images.shape[2]}")
    return places.either(drawn(key, 0.5, images), places.transposed(examples, pairs), examples)


def shift(key: PRNGKeyArray, examples: Examples, shift: int = 4) -> Examples:
    """Each image shifted by up to `shift` pixels either way, zeros coming in."""
    images = examples["image"]
    batch, *size = images.shape
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    # Types are given, so that the same key draws the same numbers where JAX is set to double precision.
    corners = jax.random.randint(key, (batch, 2), 0, 2 * shift + 1, jnp.int32)
    corners = jnp.pad(corners, ((0, 0), (0, 1)))
    cut = jax.vmap(lambda image, corner: lax.dynamic_slice(image, corner, size))
    return {**places.shifted(examples, shift - corners[:, :2]), "image": cut(padded, corners)}


def crop_flip(key: PRNGKeyArray, examples: Examples, shift: int = 4) -> Examples:
    """`shift`, then `flip`: what is usual for CIFAR."""
    shift_key, flip_key = jax.random.split(key)
    return flip(flip_key, _shift(shift_key, examples, shift))


def colour_jitter(
    key: PRNGKeyArray, examples: Examples, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4
) -> Examples:
    """Each image brighter or darker, then of more or less contrast, then of more or less colour.

    Each factor is drawn evenly from [1 − s, 1 + s]. Contrast is taken about the mean of the image, colour about that of the
    pixel.

    Args:
        key: of the random numbers.
        examples: with images of any number of planes.
        brightness: s of the first.
        contrast: s of the second.
        saturation: s of the third.
    """
    stored = examples["image"]
    images = stored.astype(jnp.float32)

    def factor(key: PRNGKeyArray, most: float) -> Float[Array, "B 1 1 1"]:
        return 1 + most * jax.random.uniform(key, (len(images), 1, 1, 1), jnp.float32, -1, 1)

    keys = jax.random.split(key, 3)
    images = images * factor(keys[0], brightness)
    for key, axes, most in ((keys[1], (1, 2, 3), contrast), (keys[2], (3,), saturation)):
        mean = images.mean(axes, keepdims=True)
        images = mean + (images - mean) * factor(key, most)
    return {**examples, "image": as_stored(jnp.clip(images, 0, white(stored.dtype)), stored)}


def as_stored(images: Float[Array, "B H W P"], stored: Num[Array, "B H W P"]) -> Num[Array, "B H W P"]:
    """Images as the type of others has them: rounded if that is whole numbers."""
    whole = jnp.issubdtype(stored.dtype, jnp.integer)
    return (jnp.round(images) if whole else images).astype(stored.dtype)


def drawn(key: PRNGKeyArray, share: float, images: Num[Array, "B H W P"]) -> Bool[Array, "B 1 1 1"]:
    """Which images of a batch, each with the probability `share`."""
    return jax.random.bernoulli(key, jnp.float32(share), (len(images), 1, 1, 1))


# Under a name that no argument hides.
_shift = shift
