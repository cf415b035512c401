"""Labelled images that can be read in any order, wherever they lie."""

import abc
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int

from awn_jax import hardware

# One image with all that goes with it, by name: `image`, and `label`, a class. What a source knows besides stands beside them,
# in arrays that have the same shape for every example.
Example = dict[str, Any]


class Examples(abc.ABC):
    """A subclass says where the images lie: in memory (`ImageSet`), or as pictures that are opened one by one (`Photographs`).

    Attributes:
        image_size: height and width in pixels, and planes, of what `example` gives.
        labels: [N], in [0, classes).
        classes: number of classes, of which some may have no image here.
        class_names: one for each class, or none.
        point_names: one for each key point of an object, or none.
        entries: what an example has.
        superclasses: the number of each class's superclass, where the examples say it; -1 for a class that has no image.
        superclass_names: one for each superclass, or none.
        identity: a digest of what the images were read from; empty where the images themselves say it.
        nbytes: bytes of all examples.
    """

    image_size: tuple[int, int, int]
    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...]
    point_names: tuple[str, ...] = ()
    entries: tuple[str, ...] = ("image", "label")
    superclasses: tuple[int, ...] = ()
    superclass_names: tuple[str, ...] = ()
    identity: str
    nbytes: int

    @abc.abstractmethod
    def __len__(self) -> int:
        """N."""

    @abc.abstractmethod
    def example(self, index: int) -> Example:
        """One example as a network is tested on it: `image` is [H, W, P], uint8 in 0 to 255 or floats.

        Raises:
            DataError: if it cannot be read.
        """

    @abc.abstractmethod
    def picture(self, index: int) -> Example:
        """One example before its image is brought to size: `image` is a `PIL.Image.Image` of 8 bits, grey or coloured.

        Raises:
            DataError: if it cannot be read, or is no such image.
        """

    @abc.abstractmethod
    def fit(self, example: Example) -> Example:
        """An example whose `image` is a picture, as `example` gives it."""

    @abc.abstractmethod
    def select(self, indices: Sequence[int] | Int[np.ndarray, " M"]) -> "Examples":
        """Some of the examples, in the given order."""

    def take(self, count: int) -> "Examples":
        """The first `count` examples; all if there are fewer."""
        return self.select(np.arange(min(count, len(self))))

    def gathered(self, names: Sequence[str]) -> Example:
        """Some entries of all examples, each array with a leading axis; pictures are read where more than labels are wanted.

        Raises:
            DataError: if an example cannot be read.
        """
        if tuple(names) == ("label",):
            return {"label": self.labels}
        found = [{name: example[name] for name in names} for example in threads().map(self.example, range(len(self)))]
        return stacked(found)

    def batch(self, indices: Int[np.ndarray, " B"]) -> Example:
        """Some examples as `example` gives them, each array with a leading axis; read by several threads."""
        return stacked(list(threads().map(self.example, indices.tolist())))


def stacked(examples: Sequence[Example]) -> Example:
    """Examples as one, each array with a leading axis."""
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


@functools.cache
def threads() -> ThreadPoolExecutor:
    """The threads that pictures are read by, one for each processor; decoding lets others run."""
    return ThreadPoolExecutor(hardware.processors(), "awn_jax-pictures")
