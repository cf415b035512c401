"""Classification sets of TensorFlow Datasets (https://www.tensorflow.org/datasets), prepared on this machine."""

import functools
import hashlib
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tqdm
from jaxtyping import Int

from awn_jax.data import checks
from awn_jax.data.checks import DataError
from awn_jax.data.images import LARGE
from awn_jax.data.photographs import Records
from awn_jax.data.sources.found import Found, Request

_CHUNK = 1000
# The feature that holds the superclass of an example's class, where a set has one: CIFAR-100 calls it so.
COARSE = "coarse_label"


class UnknownSetError(DataError):
    """TFDS knows no set of this name; the message is TFDS's."""


class Prepared(Records):
    """Pictures of a prepared set, as they were encoded.

    Args:
        rows: TFDS's random access to the split, which decodes nothing.
        what: the set and its split.
        label: the feature of that name.
        files: names and sizes of the set's files.
        indices: of the pictures, among the rows; None for all.
    """

    def __init__(
        self, rows: Any, what: str, label: Any, files: tuple[str, ...], indices: Int[np.ndarray, " N"] | None = None
    ):
        self._rows, self._what, self._label, self._files = rows, what, label, files
        self._indices = np.arange(len(rows)) if indices is None else indices
        self.classes, self.class_names = label.num_classes, tuple(label.names)

    @functools.cached_property
    def labels(self) -> Int[np.ndarray, " N"]:  # type: ignore[override]
        found = np.empty(len(self), np.int32)
        for start, chunk in _chunks(self._rows, self._indices, self._what):
            found[start : start + len(chunk)] = [row["label"] for row in chunk]
        checks.check_labels(found, len(self), self.classes, f"labels of {self._what}")
        return found

    def __len__(self) -> int:
        return len(self._indices)

    def record(self, index: int) -> tuple[bytes, int]:
        try:
            row = self._rows[int(self._indices[index])]
        except Exception as error:  # damaged records: their readers raise what they like
            raise DataError(f"{self.name(index)} cannot be read: {_first_line(error)}") from error
        label = int(row["label"])
        if not 0 <= label < self.classes:
            raise DataError(f"label of {self.name(index)} must be in [0, {self.classes}), got {label}")
        return bytes(row["image"]), label

    def name(self, index: int) -> str:
        return f"image {self._indices[index]} of {self._what}"

    def select(self, indices: Int[np.ndarray, " M"]) -> "Prepared":
        return Prepared(self._rows, self._what, self._label, self._files, self._indices[indices])

    def listing(self) -> Iterator[str]:
        yield from (self._what, *self._files, hashlib.sha256(self._indices.astype("<i8").tobytes()).hexdigest())


def read(request: Request) -> Found | Prepared:
    """Reads one split of a prepared set; one of pictures of any size, or one that takes more than 2 GiB, stays where it is.

    Args:
        request: its location is the set's name, such as `fashion_mnist` or `mnist:3.0.1`; its split the set's own name for it,
            or an expression such as `train[:90%]`.

    Raises:
        UnknownSetError: if TFDS knows no such set.
        DataError: if it is not prepared, is no set of images with classes, or lacks the split.
    """
    location, split = request.location, request.split
    builder = _builder(location, request.data_dir)
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or not getattr(features["label"], "num_classes", None):
        raise DataError(
            f"{location} must have the features 'image' and 'label' (a class), got {sorted(features or ())}"
        )
    image, label = features["image"], features["label"]
    rows = _rows(builder, location, split)
    kind = np.dtype(image.np_dtype)
    if None in image.shape or (kind == np.uint8 and len(rows) * math.prod(image.shape) > LARGE):
        return Prepared(_rows(builder, location, split, encoded=True), f"{location} {split}", label, _files(builder))
    names = f"images of {location} {split}", f"labels of {location} {split}"
    checks.check_image_kind((len(rows), *image.shape), kind, names[0])
    images = np.empty((len(rows), *image.shape), image.np_dtype)
    labels = np.empty(len(rows), label.np_dtype)
    groups = features[COARSE].names if getattr(dict(features).get(COARSE), "num_classes", None) else []
    coarse = np.empty(len(rows), np.int64) if groups else None
    for start, chunk in _chunks(rows, np.arange(len(rows)), f"{location} {split}"):
        images[start : start + len(chunk)] = [row["image"] for row in chunk]
        labels[start : start + len(chunk)] = [row["label"] for row in chunk]
        if coarse is not None:
            coarse[start : start + len(chunk)] = [row[COARSE] for row in chunk]
    return Found(
        images,
        labels,
        names,
        classes=label.num_classes,
        class_names=tuple(label.names),
        coarse=coarse,
        superclass_names=tuple(groups),
    )


def _chunks(rows: Any, indices: Int[np.ndarray, " N"], what: str) -> Iterator[tuple[int, list[Any]]]:
    """The rows, many at a time, and the position of the first of them."""
    for start in tqdm.trange(0, len(indices), _CHUNK, desc=f"reading {what}", leave=False, disable=None):
        chosen = indices[start : start + _CHUNK].tolist()
        try:
            yield start, rows.__getitems__(chosen)
        except Exception as error:  # damaged records and pictures: their readers raise what they like
            raise DataError(
                f"images {chosen[0]} to {chosen[-1]} of {what} cannot be read: {_first_line(error)}"
            ) from error


def _files(builder: Any) -> tuple[str, ...]:
    folder = pathlib.Path(builder.data_path)
    return tuple(sorted(f"{path.name} {path.stat().st_size}" for path in folder.iterdir() if path.is_file()))


def _builder(name: str, data_dir: str | None) -> Any:
    # Imported where it is used: it takes half a second, and only these sets need it.
    import absl.logging

    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        import tensorflow_datasets as tfds
    except Exception as error:  # it looks for a home folder and a cloud while it is imported
        raise DataError(f"TFDS, which is to read {name!r}, cannot be imported: {_first_line(error)}") from error
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise UnknownSetError(_first_line(error)) from error
    except Exception as error:  # a version that is not there, a damaged description, a folder that may not be read
        raise DataError(f"TFDS cannot open {name!r}: {_first_line(error)}") from error
    # Asked first: TFDS would retry a download for minutes on a machine with no network.
    if not (builder.data_path / "dataset_info.json").exists():
        raise DataError(
            f"{name} is not prepared in {builder.data_path.parent.parent}. Either set TFDS_DATA_DIR (or data_dir) to the "
            f"folder that holds {name}/{builder.version}, or prepare it once, which needs TensorFlow and a network: "
            f"pip install 'awn-jax[prepare]' && tfds build {name.split(':')[0]} --file_format=array_record"
        )
    return builder


def _rows(builder: Any, name: str, split: str, *, encoded: bool = False) -> Any:
    import tensorflow_datasets as tfds

    try:
        return builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()} if encoded else None)
    except NotImplementedError as error:
        raise DataError(
            f"{name} is prepared as {builder.info.file_format}, which has no random access; prepare it again with "
            f"tfds build {name} --file_format=array_record --overwrite"
        ) from error
    except (ValueError, KeyError) as error:
        raise DataError(
            f"split of {name} must be one of {sorted(builder.info.splits)} or part of one, got {split!r}"
        ) from error
    except Exception as error:  # files that are not there, or a reader of records that is not installed
        raise DataError(f"split {split!r} of {name} cannot be opened: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
