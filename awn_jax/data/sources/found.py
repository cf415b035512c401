"""What a source is asked for and hands over: arrays as it found them; checks are the same for all, so no source makes them."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, Shaped

from awn_jax.data import checks, readings
from awn_jax.data.images import ImageSet


@dataclasses.dataclass(frozen=True)
class Request:
    """What a source is asked for.

    Attributes:
        location: where the set is, or what it is called.
        split: of the set.
        data_dir: where TFDS keeps its prepared sets; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        test_share: of a set that has no splits, how much is held out as `test`.
        seed: which examples those are.
        entries: what is wanted of an example beside its image; a source that has more may leave it out.
    """

    location: str
    split: str
    data_dir: str | None = None
    test_share: float = 0.2
    seed: int = 0
    entries: tuple[str, ...] = ("label",)


@dataclasses.dataclass(frozen=True)
class Found:
    """One split, not yet checked.

    Attributes:
        images, labels: of the split.
        names: what errors call them.
        other_labels: those of the source's other splits, as far as it has them at hand, by what errors call them.
        extremes: the least and the largest pixel of the other splits, where images are of a type that is read by its values.
        classes: their number if the source states it; else it follows from the labels of all splits.
        class_names: one for each class, or none.
        coarse: of each image, the superclass of its class; None where the source does not say it.
        superclass_names: one for each superclass, or none.
    """

    images: Shaped[np.ndarray, "..."]
    labels: Shaped[np.ndarray, "..."]
    names: tuple[str, str]
    other_labels: Mapping[str, Shaped[np.ndarray, "..."]] = dataclasses.field(default_factory=dict)
    extremes: tuple[int | float, ...] = ()
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    coarse: Int[np.ndarray, " N"] | None = None
    superclass_names: tuple[str, ...] = ()

    def checked(self) -> ImageSet:
        """The split as images of one type and labels of one type, read as `readings` says.

        Raises:
            DataError: if they are not labelled images, or could be two things.
        """
        images_name, labels_name = self.names
        images = readings.images(self.images, images_name, self.extremes)
        checks.check_label_kind(self.labels.shape, self.labels.dtype, len(images), labels_name)
        labels, classes, numbers = readings.labels({labels_name: self.labels, **self.other_labels}, self.classes)
        groups = () if self.coarse is None else readings.superclasses(labels, self.coarse, classes)
        names = self.superclass_names if groups else ()
        return ImageSet(
            images, labels, classes, self.class_names or numbers, superclasses=groups, superclass_names=names
        )
