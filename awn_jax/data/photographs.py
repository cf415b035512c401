"""Pictures that are opened one by one, where they lie: `Records` says where, `Photographs` what size they are given."""

import abc
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from awn_jax.data import decoding, geometry
from awn_jax.data.checks import DataError
from awn_jax.data.examples import Example, Examples

# How many pictures a fingerprint reads.
_SAMPLED = 64


class Records(abc.ABC):
    """Labelled pictures as they were written, in any order; worker processes get copies.

    Attributes:
        labels: [N] int32 in [0, classes); to read them may take a pass over all records.
        classes: number of classes.
        class_names, point_names: see `Examples`.
        entries: what an example has.
    """

    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...]
    point_names: tuple[str, ...] = ()
    entries: tuple[str, ...] = ("image", "label")

    @abc.abstractmethod
    def __len__(self) -> int:
        """N."""

    @abc.abstractmethod
    def record(self, index: int) -> tuple[bytes, int]:
        """A picture's bytes, and its label.

        Raises:
            DataError: if they cannot be read.
        """

    def more(self, index: int, size: tuple[int, int]) -> Example:
        """What an example has besides; positions are in pixels of the picture as it was written, upright.

        Args:
            index: of the picture.
            size: height and width of the opened picture.

        Raises:
            DataError: if it does not fit the picture.
        """
        return {}

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """What errors call a picture."""

    @abc.abstractmethod
    def select(self, indices: Int[np.ndarray, " M"]) -> "Records":
        """Some of them, in the given order."""

    @abc.abstractmethod
    def listing(self) -> Iterable[str]:
        """What there is to know of the pictures without reading them, such as names, labels and sizes in bytes."""

    def fingerprint(self) -> str:
        """A digest of the listing and the content of up to 64 pictures spread evenly: enough to notice that others have taken
        their place, and cheap where they are many.

        Returns:
            64 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for line in self.listing():
            digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
        for index in np.unique(np.linspace(0, len(self) - 1, _SAMPLED).astype(int)).tolist():
            digest.update(hashlib.sha256(self.record(index)[0]).digest())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Photographs(Examples):
    """Pictures of any sizes, each opened when it is asked for and brought to one size.

    Attributes:
        records: where they lie.
        image_size: height, width and planes that they are given.
        crop: see `geometry.part`; None to refuse pictures of another size.
        fit_by: `fit` there.
    """

    records: Records
    image_size: tuple[int, int, int]
    crop: float | None = 1.0
    fit_by: geometry.Fit = "crop"

    def __len__(self) -> int:
        return len(self.records)

    @property
    def labels(self) -> Int[np.ndarray, " N"]:  # type: ignore[override]
        return self.records.labels

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.records.classes

    @property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.records.class_names

    @property
    def point_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.records.point_names

    @property
    def entries(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.records.entries

    @property
    def identity(self) -> str:  # type: ignore[override]
        return self.records.fingerprint()

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        return len(self) * int(np.prod(self.image_size))

    def example(self, index: int) -> Example:
        return self.fit(self._opened(index, max(self.image_size[:2])))

    def picture(self, index: int) -> Example:
        return self._opened(index, 0)

    def _opened(self, index: int, least: int) -> Example:
        name, (content, label) = self.records.name(index), self.records.record(index)
        # Where things have places in a picture, it is opened at its own size.
        plain = self.crop is not None and self.entries == Records.entries
        least = round(least / (self.crop or 1)) if plain else 0
        picture = decoding.decode(content, name, self.image_size[2], least=least)
        if self.crop is None and picture.size != self.image_size[1::-1]:
            raise DataError(
                f"data.image_size must be given where pictures differ in size: {name} has {picture.height} × {picture.width}, "
                f"others have {self.image_size[0]} × {self.image_size[1]}"
            )
        more = self.records.more(index, (picture.height, picture.width))
        return {"image": picture, "label": np.int32(label), **more}

    def fit(self, example: Example) -> Example:
        size, crop = self.image_size[:2], 1.0 if self.crop is None else self.crop
        moved = geometry.moved(example, geometry.part(example["image"].size, size, crop, self.fit_by), size)
        return {**moved, "image": geometry.pixels(moved["image"])}

    def select(self, indices: Sequence[int] | Int[np.ndarray, " M"]) -> "Photographs":
        return dataclasses.replace(self, records=self.records.select(np.asarray(indices, int)))
