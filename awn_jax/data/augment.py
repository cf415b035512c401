"""From stored images to what the network sees, on the device.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num, PRNGKeyArray

Augment = Literal["none", "crop_flip"]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Normalisation, and what training adds to it.

    Attributes:
        mean, std: of each plane, on a scale where white is 1.
        augment: `none`, or `crop_flip`: `shift` pixels of zeros around, a random crop, a random horizontal flip.
        shift: in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment = "none"
    shift: int = 4

    def __post_init__(self):
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must have one number for each plane, got {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")

    def normalised(self, images: Num[Array, "B H W P"]) -> Float[Array, "B H W P"]:
        """Images as the network sees them: uint8 is divided by 255, then mean and std are taken out.

        Raises:
            ValueError: if the images have another number of planes.
        """
        if images.shape[-1] != len(self.mean):
            raise ValueError(f"mean must have one number for each of {images.shape[-1]} planes, got {self.mean}")
        white = 255 if jnp.issubdtype(images.dtype, jnp.integer) else 1
        return images.astype(jnp.float32) * (1 / (white * jnp.array(self.std))) - jnp.array(self.mean) / jnp.array(
            self.std
        )

    def for_training(self, key: PRNGKeyArray, images: Num[Array, "B H W P"]) -> Float[Array, "B H W P"]:
        """Normalised and augmented images."""
        if self.augment == "crop_flip":
            images = crop_flip(key, images, self.shift)
        return self.normalised(images)


def crop_flip(key: PRNGKeyArray, images: Num[Array, "B H W P"], shift: int = 4) -> Num[Array, "B H W P"]:
    """Each image shifted by up to `shift` pixels either way, zeros coming in, and mirrored half of the time."""
    crop_key, flip_key = jax.random.split(key)
    batch, *size = images.shape
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    corners = jax.random.randint(crop_key, (batch, 2), 0, 2 * shift + 1)
    cut = jax.vmap(lambda image, corner: lax.dynamic_slice(image, (corner[0], corner[1], 0), size))
    flipped = jax.random.bernoulli(flip_key, shape=(batch, 1, 1, 1))
    images = cut(padded, corners)
    return jnp.where(flipped, images[:, :, ::-1], images)
