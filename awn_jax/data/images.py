"""Labelled images in memory."""

import dataclasses

import numpy as np
from jaxtyping import Int, Num

from awn_jax.data import checks


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images in memory.

    Attributes:
        images: [N, H, W, P] uint8 in 0 to 255, or floats as they are.
        labels: [N] int32 in [0, classes).
        classes: number of classes, of which some may have no image here.
        class_names: one for each class, or none.

    Raises:
        DataError: if they do not fit together.
    """

    images: Num[np.ndarray, "N H W P"]
    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self):
        checks.check_set(self.images, self.labels, self.classes, self.class_names)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Height and width in pixels, and planes."""
        height, width, planes = self.images.shape[1:]
        return height, width, planes

    def take(self, count: int) -> "ImageSet":
        """The first `count` examples; all if there are fewer."""
        return dataclasses.replace(self, images=self.images[:count], labels=self.labels[:count])


def white(dtype: np.dtype) -> int:
    """What a white pixel is in images of a type: 255 in whole numbers, 1 in floats."""
    return 255 if np.issubdtype(dtype, np.integer) else 1
