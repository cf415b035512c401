"""From stored images to what the network sees, on the device.

An augmentation is a pure function `(key, images, **options) -> images` of [B, H, W, P] images as they are stored: of uint8 in
0 to 255 or of floats, and so of the same type and shape on the way out. It is compiled into the training step.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Num, PRNGKeyArray

from awn_jax import registry
from awn_jax.data.images import white

Augmentation = Callable[..., Num[Array, "B H W P"]]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Normalisation, and what training adds to it.

    Attributes:
        mean, std: of each plane, on a scale where white is 1.
        augment: a name in `AUGMENTS` (`none`; `crop_flip`: a random crop and a random horizontal flip), or `module:function`.
        shift: in pixels; given to an augmentation that has an argument of this name.
        options: what else the augmentation is given, by name.

    Raises:
        ValueError: if these do not fit together, or there is no such augmentation, or it does not take the options.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: str = "none"
    shift: int = 4
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must have one number for each plane, got {self.mean} and {self.std}")
        if not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError(f"mean and std must be finite, got {self.mean} and {self.std}")
        if not self.std or min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        if self.shift < 0:
            raise ValueError(f"shift must be 0 or more, got {self.shift}")
        self._augmentation()

    def _augmentation(self) -> tuple[Augmentation, dict[str, Any]]:
        function = registry.resolve(self.augment, AUGMENTS, "augment")
        try:
            signature = inspect.signature(function)
            options = {"shift": self.shift} if "shift" in signature.parameters else {}
            options.update(self.options)
            signature.bind(None, None, **options)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"augment must be a function (key, images, **options), got {self.augment!r} "
                f"with options {dict(self.options)}: {error}"
            ) from error
        return function, options

    def normalised(self, images: Num[Array, "B H W P"]) -> Float[Array, "B H W P"]:
        """Images as the network sees them: uint8 is divided by 255, then mean and std are taken out.

        Returns:
            float32, also where JAX is set to double precision.

        Raises:
            ValueError: if the images have another number of planes.
        """
        if images.shape[-1] != len(self.mean):
            raise ValueError(f"mean must have one number for each of {images.shape[-1]} planes, got {self.mean}")
        mean, std = (np.array(values, np.float32).reshape(1, 1, 1, -1) for values in (self.mean, self.std))
        return images.astype(jnp.float32) * (1 / (white(images.dtype) * std)) - mean / std

    def for_training(self, key: PRNGKeyArray, images: Num[Array, "B H W P"]) -> Float[Array, "B H W P"]:
        """Augmented, then normalised images.

        Raises:
            ValueError: if the augmentation gives images of another shape or type.
        """
        function, options = self._augmentation()
        changed = function(key, images, **options)
        shape, dtype = getattr(changed, "shape", None), getattr(changed, "dtype", type(changed))
        if (shape, dtype) != (images.shape, images.dtype):
            raise ValueError(
                f"augment must return images of shape {images.shape} and type {images.dtype}, as it was given, "
                f"got {shape} and {dtype} from {self.augment!r}"
            )
        return self.normalised(changed)


def unchanged(key: PRNGKeyArray, images: Num[Array, "B H W P"]) -> Num[Array, "B H W P"]:
    """The images as they are."""
    return images


def crop_flip(key: PRNGKeyArray, images: Num[Array, "B H W P"], shift: int = 4) -> Num[Array, "B H W P"]:
    """Each image shifted by up to `shift` pixels either way, zeros coming in, and mirrored half of the time.

    Args:
        key: of the random numbers.
        images: of any type.
        shift: in pixels.
    """
    crop_key, flip_key = jax.random.split(key)
    batch, *size = images.shape
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    # Types are given, so that the same key draws the same numbers where JAX is set to double precision.
    corners = jax.random.randint(crop_key, (batch, 2), 0, 2 * shift + 1, jnp.int32)
    corners = jnp.pad(corners, ((0, 0), (0, 1)))
    cut = jax.vmap(lambda image, corner: lax.dynamic_slice(image, corner, size))
    flipped = jax.random.bernoulli(flip_key, jnp.float32(0.5), (batch, 1, 1, 1))
    images = cut(padded, corners)
    return jnp.where(flipped, images[:, :, ::-1], images)


AUGMENTS: dict[str, Augmentation | str] = {"none": unchanged, "crop_flip": crop_flip}
