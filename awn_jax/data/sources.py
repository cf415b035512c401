"""Labelled images by name: scikit-learn's digits, any prepared TFDS classification set, or arrays in an .npz file."""

import dataclasses
import pathlib
import zipfile
from typing import Any

import numpy as np
import tqdm
from jaxtyping import Int, Num

# Which share of scikit-learn's 1,797 digits is held out, and the seed that says which.
DIGITS_TEST_SHARE, DIGITS_SEED = 5, 0
DIGITS_SIZE = 28


class DataError(ValueError):
    """The images cannot be had, or are not what they should be; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images in memory.

    Attributes:
        images: [N, H, W, P] uint8 in 0 to 255, or floats as they are.
        labels: [N] int32 in [0, classes).
        classes: number of classes.
    """

    images: Num[np.ndarray, "N H W P"]
    labels: Int[np.ndarray, " N"]
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int) -> "ImageSet":
        """The first `count` examples; all if there are fewer."""
        return dataclasses.replace(self, images=self.images[:count], labels=self.labels[:count])


def load(name: str, split: str, *, data_dir: str | None = None) -> ImageSet:
    """Reads one split of an image set into memory.

    Args:
        name: `digits` (scikit-learn's handwritten digits, enlarged to 28 × 28), `npz:PATH` (arrays `x_<split>` and
            `y_<split>`), or the name of a TFDS set, such as `fashion_mnist`.
        split: `train` or `test`, or what the set's author chose; a TFDS set takes TFDS expressions (`train[:90%]`).
        data_dir: where TFDS keeps its prepared sets; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Raises:
        DataError: if the set or split is not there or its arrays are not labelled images.
    """
    if name == "digits":
        return _digits(split)
    if name.startswith("npz:"):
        return _npz(pathlib.Path(name.removeprefix("npz:")).expanduser(), split)
    return _tfds(name, split, data_dir)


def _digits(split: str) -> ImageSet:
    import scipy.ndimage
    import sklearn.datasets

    if split not in ("train", "test"):
        raise DataError(f"split of digits must be 'train' or 'test', got {split!r}")
    bunch: Any = sklearn.datasets.load_digits()
    order = np.random.default_rng(DIGITS_SEED).permutation(len(bunch.target))
    held_out = len(order) // DIGITS_TEST_SHARE
    chosen = order[:held_out] if split == "test" else order[held_out:]
    zoom = DIGITS_SIZE / bunch.images.shape[1]
    large = scipy.ndimage.zoom(bunch.images[chosen], (1, zoom, zoom), order=1, grid_mode=True, mode="nearest")
    images = np.clip(np.rint(large * (255 / 16)), 0, 255).astype(np.uint8)
    return ImageSet(images[..., None], bunch.target[chosen].astype(np.int32), 10)


def _npz(path: pathlib.Path, split: str) -> ImageSet:
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise DataError(f"{path} must hold named arrays, as numpy.savez writes them, got a single one")
        with found as arrays:
            keys = f"x_{split}", f"y_{split}"
            missing = [key for key in keys if key not in arrays]
            if missing:
                raise DataError(f"{path} must hold arrays {keys[0]} and {keys[1]}, got {sorted(arrays)}")
            images, labels = arrays[keys[0]], arrays[keys[1]]
            other = [arrays[key] for key in arrays if key.startswith("y_") and key != keys[1]]
    except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a readable .npz file: {error}") from error
    images = _checked_images(images, f"{path}: {keys[0]}")
    labels = _checked_labels(labels, len(images), f"{path}: {keys[1]}")
    classes = 1 + max(int(array.max()) for array in [labels, *other] if array.size and array.dtype.kind in "iu")
    return ImageSet(images, labels, classes)


def _checked_images(images: np.ndarray, what: str) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise DataError(f"{what} must have shape (N, H, W) or (N, H, W, planes), got {images.shape}")
    if not images.size:
        raise DataError(f"{what} must hold at least one image, got shape {images.shape}")
    if images.dtype.kind == "f":
        if not np.isfinite(images).all():
            raise DataError(f"{what} must be finite, got NaN or infinite pixels")
        return images.astype(np.float32)
    if images.dtype != np.uint8:
        raise DataError(f"{what} must be of type uint8 or float, got {images.dtype}")
    return images


def _checked_labels(labels: np.ndarray, count: int, what: str) -> np.ndarray:
    if labels.shape != (count,):
        raise DataError(f"{what} must hold one label for each of {count} images, got shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{what} must be whole numbers, got type {labels.dtype}")
    if labels.min() < 0:
        raise DataError(f"{what} must be 0 or more, got {labels.min()}")
    return labels.astype(np.int32)


def _tfds(name: str, split: str, data_dir: str | None) -> ImageSet:
    # Imported where it is used: it takes half a second, and only these sets need it.
    import absl.logging

    absl.logging.set_verbosity(absl.logging.ERROR)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"data name {name!r} is neither 'digits', 'npz:PATH' nor a TFDS set: {reason}") from error
    # Asked first: TFDS would retry a download for minutes on a machine with no network.
    if not (builder.data_path / "dataset_info.json").exists():
        raise DataError(
            f"{name} is not prepared in {builder.data_path.parent.parent}. Either set TFDS_DATA_DIR (or data_dir) to the "
            f"folder that holds {name}/{builder.version}, or prepare it once, which needs TensorFlow and a network: "
            f"pip install 'awn-jax[prepare]' && tfds build {name.split(':')[0]} --file_format=array_record"
        )
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or not hasattr(features["label"], "num_classes"):
        raise DataError(f"{name} must have the features 'image' and 'label' (a class), got {sorted(features or ())}")
    if None in features["image"].shape:
        raise DataError(f"{name} must have images of one size, got shape {features['image'].shape}")
    try:
        source = builder.as_data_source(split=split)
    except NotImplementedError as error:
        raise DataError(
            f"{name} is prepared as {builder.info.file_format}, which has no random access; prepare it again with "
            f"tfds build {name} --file_format=array_record --overwrite"
        ) from error
    except (ValueError, KeyError) as error:
        raise DataError(
            f"split of {name} must be one of {sorted(builder.info.splits)} or part of one, got {split!r}"
        ) from error
    images = np.empty((len(source), *features["image"].shape), features["image"].np_dtype)
    labels = np.empty(len(source), np.int32)
    if not len(source):
        raise DataError(f"split {split!r} of {name} holds no images")
    chunk = 1000
    for start in tqdm.trange(0, len(source), chunk, desc=f"reading {name} {split}", leave=False, disable=None):
        rows = source.__getitems__(range(start, min(start + chunk, len(source))))
        images[start : start + len(rows)] = [row["image"] for row in rows]
        labels[start : start + len(rows)] = [row["label"] for row in rows]
    return ImageSet(images, labels, features["label"].num_classes)
