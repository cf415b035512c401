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
        class_names: one for each class, or none.
    """

    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...]

    @abc.abstractmethod
    def __len__(self) -> int:
        """N."""

    @abc.abstractmethod
    def record(self, index: int) -> tuple[bytes, int]:
        """A picture's bytes, and its label.

        Raises:
            DataError: if they cannot be read.
        """

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
        crop: see `geometry.fitted`; None to refuse pictures of another size.
    """

    records: Records
    image_size: tuple[int, int, int]
    crop: float | None = 1.0

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
        least = 0 if self.crop is None else round(least / self.crop)
        picture = decoding.decode(content, name, self.image_size[2], least=least)
        if self.crop is None and picture.size != self.image_size[1::-1]:
            raise DataError(
                f"data.image_size must be given where pictures differ in size: {name} has {picture.height} × {picture.width}, "
                f"others have {self.image_size[0]} × {self.image_size[1]}"
            )
        return {"image": picture, "label": np.int32(label)}

    def fit(self, example: Example) -> Example:
        crop = 1.0 if self.crop is None else self.crop
        return {**example, "image": geometry.fitted(example["image"], self.image_size[:2], crop)}

    def select(self, indices: Sequence[int] | Int[np.ndarray, " M"]) -> "Photographs":
        return dataclasses.replace(self, records=self.records.select(np.asarray(indices, int)))
