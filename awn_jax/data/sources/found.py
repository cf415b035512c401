"""What a source hands over: arrays as it found them. Checking them is the same for all sources, so no source does it."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped

from awn_jax.data import checks
from awn_jax.data.images import ImageSet


@dataclasses.dataclass(frozen=True)
class Found:
    """One split, not yet checked.

    Attributes:
        images, labels: of the split.
        names: what errors call them.
        other_labels: those of the source's other splits, as far as it has them at hand, by what errors call them.
        classes: their number if the source states it; else it follows from the labels of all splits.
        class_names: one for each class, or none.
    """

    images: Shaped[np.ndarray, "..."]
    labels: Shaped[np.ndarray, "..."]
    names: tuple[str, str]
    other_labels: Mapping[str, Shaped[np.ndarray, "..."]] = dataclasses.field(default_factory=dict)
    classes: int | None = None
    class_names: tuple[str, ...] = ()

    def checked(self) -> ImageSet:
        """The split as images of one type and labels of one type.

        Warns where floats are so large that white is not likely 1, and where the number of
        classes is not stated and no split has an image of class 0.

        Raises:
            DataError: if they are not labelled images.
        """
        images_name, labels_name = self.names
        images = checks.cast_images(self.images, images_name)
        labels = checks.cast_labels(self.labels, len(images), self.classes, labels_name)
        others = [
            checks.cast_labels(array, len(array), self.classes, name) for name, array in self.other_labels.items()
        ]
        every = np.concatenate([labels, *others])
        if self.classes is None:
            checks.warn_of_unused_zero(every, labels_name)
        classes = 1 + int(every.max()) if self.classes is None else self.classes
        return ImageSet(images, labels, classes, self.class_names)
