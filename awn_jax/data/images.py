"""Labelled images in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import tqdm
from jaxtyping import Int, Num, Shaped

from awn_jax.data import checks, geometry
from awn_jax.data.examples import Example, Examples

# Bytes: more is not kept on devices, nor in memory where it lies on a disk.
LARGE = 2 << 30
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class ImageSet(Examples):
    """Labelled images in memory.

    Attributes:
        images: [N, H, W, P] uint8 in 0 to 255, or floats as they are.
        labels: [N] int32 in [0, classes).
        classes: number of classes, of which some may have no image here.
        class_names: one for each class, or none.
        identity, point_names, superclasses, superclass_names: see `Examples`.
        more: what else there is of each image, by name: [N, ...].

    Raises:
        DataError: if they do not fit together.
    """

    images: Num[np.ndarray, "N H W P"]
    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...] = ()
    identity: str = ""
    point_names: tuple[str, ...] = ()
    more: Mapping[str, Shaped[np.ndarray, "_ ..."]] = dataclasses.field(default_factory=dict)
    superclasses: tuple[int, ...] = ()
    superclass_names: tuple[str, ...] = ()

    def __post_init__(self):
        checks.check_set(self.images, self.labels, self.classes, self.class_names)
        for name, values in self.more.items():
            if len(values) != len(self.images):
                raise checks.DataError(f"{name} must be of {len(self.images)} images, got {len(values)}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Height and width in pixels, and planes."""
        height, width, planes = self.images.shape[1:]
        return height, width, planes

    @property
    def arrays(self) -> Example:
        """All examples as one: each entry with a leading axis."""
        return {"image": self.images, "label": self.labels, **self.more}

    @property
    def entries(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.arrays)

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        return sum(values.nbytes for values in self.arrays.values())

    def example(self, index: int) -> Example:
        return {name: values[index] for name, values in self.arrays.items()}

    def gathered(self, names: Sequence[str]) -> Example:
        return {name: self.arrays[name] for name in names}

    def picture(self, index: int) -> Example:
        planes, dtype = self.images.shape[-1], self.images.dtype
        if dtype != np.uint8 or planes not in (1, 3):
            raise checks.DataError(
                f"images that are changed where they are read must be uint8 of 1 or 3 planes, got {planes} of {dtype}"
            )
        image = self.images[index]
        return {**self.example(index), "image": PIL.Image.fromarray(image if planes == 3 else image[..., 0])}

    def fit(self, example: Example) -> Example:
        height, width, _ = self.image_size
        moved = geometry.moved(example, geometry.part(example["image"].size, (height, width)), (height, width))
        return {**moved, "image": geometry.pixels(moved["image"])}

    def select(self, indices: Sequence[int] | Int[np.ndarray, " M"]) -> "ImageSet":
        return self._part(np.asarray(indices, int))

    def batch(self, indices: Int[np.ndarray, " B"]) -> Example:
        return {name: values[indices] for name, values in self.arrays.items()}

    def take(self, count: int) -> "ImageSet":
        """The first `count` examples, which are not copied; all if there are fewer."""
        return self._part(slice(count))

    def _part(self, which: Any) -> "ImageSet":
        more = {name: values[which] for name, values in self.more.items()}
        return dataclasses.replace(self, images=self.images[which], labels=self.labels[which], more=more, identity="")

    def resized(self, size: tuple[int, int], crop: float, fit: geometry.Fit = "crop") -> "ImageSet":
        """The same images at another size; as they are where they have it already.

        Args:
            size: height and width in pixels.
            crop: see `geometry.part`.
            fit: likewise.

        Raises:
            DataError: if they are not uint8 of 1 or 3 planes and would change.
        """
        if size == self.image_size[:2] and crop == 1:
            return self
        images = np.empty((len(self), *size, self.image_size[2]), np.uint8)
        for index in range(len(self)):
            images[index] = geometry.fitted(self.picture(index)["image"], size, crop, fit)
        return dataclasses.replace(self, images=images)


def white(dtype: np.dtype) -> int:
    """What a white pixel is in images of a type: 255 in whole numbers, 1 in floats."""
    return 255 if np.issubdtype(dtype, np.integer) else 1


def in_memory(examples: Examples) -> ImageSet:
    """All examples, read now.

    Raises:
        DataError: if one cannot be read.
    """
    if isinstance(examples, ImageSet):
        return examples
    arrays: Example = {}
    with tqdm.tqdm(total=len(examples), desc="reading pictures", unit="img", leave=False, disable=None) as bar:
        for start in range(0, len(examples), _CHUNK):
            read = examples.batch(np.arange(start, min(start + _CHUNK, len(examples))))
            arrays = arrays or {
                name: np.empty((len(examples), *values.shape[1:]), values.dtype) for name, values in read.items()
            }
            for name, values in read.items():
                arrays[name][start : start + _CHUNK] = values
            bar.update(len(read["label"]))
    about = examples.classes, examples.class_names, examples.identity, examples.point_names
    return ImageSet(arrays.pop("image"), arrays.pop("label"), *about, more=arrays)
