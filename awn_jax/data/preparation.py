"""From stored images to what the network sees, on the device."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PRNGKeyArray

from awn_jax.data import transforms
from awn_jax.data.images import white


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Normalisation, and what training adds to it.

    Attributes:
        mean, std: of each plane, on a scale where white is 1.
        augment: transforms by name, see `transforms.parse`, or `none`.
        shift: in pixels; given to a transform that has an argument of this name.
        classes: their number; given likewise.
        size: height and width in pixels; given likewise.

    Raises:
        ValueError: if these do not fit together, or there is no such transform, or it does not take its options.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: str = "none"
    shift: int = 4
    classes: int = 0
    size: tuple[int, int] = (0, 0)

    def __post_init__(self):
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must have one number for each plane, got {self.mean} and {self.std}")
        if not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError(f"mean and std must be finite, got {self.mean} and {self.std}")
        if not self.std or min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        if self.shift < 0:
            raise ValueError(f"shift must be 0 or more, got {self.shift}")
        self.transforms  # noqa: B018  refused now, not when training begins

    @property
    def transforms(self) -> transforms.Transforms:
        """What training does, by where it runs."""
        return transforms.parse(self.augment, {"shift": self.shift, "classes": self.classes, "size": self.size})

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

    def check(self, example: dict[str, Any]) -> None:
        """Makes sure that the transforms take such examples; nothing is computed.

        Args:
            example: one, of arrays.

        Raises:
            ValueError: if one does not.
        """
        like = {
            name: jax.ShapeDtypeStruct((2, *np.shape(value)), np.asarray(value).dtype)
            for name, value in example.items()
        }
        jax.eval_shape(self.for_training, jax.random.key(0), like)

    def for_training(self, key: PRNGKeyArray, examples: dict[str, Any]) -> dict[str, Any]:
        """A batch of examples, transformed, then with normalised images.

        Args:
            key: of the step.
            examples: `image` [B, H, W, P] as stored, `label`, and what else a task has.

        Raises:
            ValueError: if a transform gives images of another shape or type.
        """
        row = self.transforms.device
        keys = [key] if len(row) == 1 else jax.random.split(key, max(1, len(row)))
        images = examples["image"]
        for own, transform in zip(keys, row, strict=False):
            examples = transform(own, examples)
            changed = examples.get("image") if isinstance(examples, dict) else examples
            shape, dtype = getattr(changed, "shape", None), getattr(changed, "dtype", type(changed))
            if not isinstance(examples, dict) or (shape, dtype) != (images.shape, images.dtype):
                raise ValueError(
                    f"augment must return examples whose images have shape {images.shape} and type {images.dtype}, as it was "
                    f"given, got {shape} and {dtype} from {self.augment!r}"
                )
        return {**examples, "image": self.normalised(examples["image"])}
