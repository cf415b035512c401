"""Classification sets of TensorFlow Datasets (https://www.tensorflow.org/datasets), prepared on this machine."""

from typing import Any

import numpy as np
import tqdm

from awn_jax.data import checks
from awn_jax.data.checks import DataError
from awn_jax.data.sources.found import Found

_CHUNK = 1000


class UnknownSetError(DataError):
    """TFDS knows no set of this name; the message is TFDS's."""


def read(location: str, split: str, data_dir: str | None) -> Found:
    """Reads one split of a prepared set.

    Args:
        location: the set's name, such as `fashion_mnist` or `mnist:3.0.1`.
        split: the set's own name for it, or an expression such as `train[:90%]`.
        data_dir: where the prepared sets are; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Raises:
        UnknownSetError: if TFDS knows no such set.
        DataError: if it is not prepared, is no set of images of one size with classes, or lacks the split.
    """
    builder = _builder(location, data_dir)
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or not getattr(features["label"], "num_classes", None):
        raise DataError(
            f"{location} must have the features 'image' and 'label' (a class), got {sorted(features or ())}"
        )
    image, label = features["image"], features["label"]
    if None in image.shape:
        raise DataError(f"{location} must have images of one size, got shape {image.shape}")
    rows = _rows(builder, location, split)
    names = f"images of {location} {split}", f"labels of {location} {split}"
    checks.check_image_kind((len(rows), *image.shape), np.dtype(image.np_dtype), names[0])
    images = np.empty((len(rows), *image.shape), image.np_dtype)
    labels = np.empty(len(rows), label.np_dtype)
    for start in tqdm.trange(0, len(rows), _CHUNK, desc=f"reading {location} {split}", leave=False, disable=None):
        stop = min(start + _CHUNK, len(rows))
        try:
            chunk = rows.__getitems__(range(start, stop))
        except Exception as error:  # damaged records and pictures: their readers raise what they like
            raise DataError(
                f"images {start} to {stop - 1} of {location} {split} cannot be read: {_first_line(error)}"
            ) from error
        images[start:stop] = [row["image"] for row in chunk]
        labels[start:stop] = [row["label"] for row in chunk]
    return Found(images, labels, names, classes=label.num_classes, class_names=tuple(label.names))


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


def _rows(builder: Any, name: str, split: str) -> Any:
    try:
        return builder.as_data_source(split=split)
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
