"""What images and labels must be, whatever source they come from: one set of checks for all.

A kind (shape and type) can be checked before a byte is read.

Dimensions: N images, H height, W width, P planes.
"""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Shaped

from awn_jax.errors import UserError

# A network has weights for each class: labels beyond are hash values or row numbers, not classes.
MAX_CLASSES = 100_000


class DataError(UserError, ValueError):
    """The images cannot be had, or are not what they should be; the message says what to do."""


class DataWarning(UserWarning):
    """The images can be used, but are likely not what was meant."""


def warn(message: str) -> None:
    """Issues a `DataWarning`, which Python prints as one line unless filters say otherwise.

    The place in the code, which Python would print too, says nothing about the images: it is given as the package.
    """
    warnings.warn_explicit(DataWarning(message), None, filename="awn_jax.data", lineno=0, module="awn_jax.data")


def check_image_kind(shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    """Checks that an array can hold images, from its shape and type alone.

    Args:
        shape: (N, H, W) or (N, H, W, P), none of them 0.
        dtype: of truth values, whole numbers or floats.
        what: what the array is, for errors.

    Raises:
        DataError: if it cannot.
    """
    if len(shape) not in (3, 4):
        raise DataError(f"{what} must have shape (N, H, W) or (N, H, W, planes), got {shape}")
    if 0 in shape:
        raise DataError(f"{what} must hold at least one image and pixel, got shape {shape}")
    if dtype.kind not in "biuf":
        raise DataError(f"{what} must be numbers, got type {dtype}")


def check_label_kind(shape: tuple[int, ...], dtype: np.dtype, count: int, what: str) -> None:
    """Checks that an array can hold the labels of some images, from its shape and type alone.

    Args:
        shape: (N,), (N, 1), or (N, classes) of one-hot rows.
        dtype: of truth values, whole numbers or floats.
        count: N, of the images.
        what: what the array is, for errors.

    Raises:
        DataError: if it cannot.
    """
    if len(shape) not in (1, 2) or shape[0] != count or shape[1:] == (0,):
        raise DataError(f"{what} must hold one label for each of {count} images, got shape {shape}")
    if dtype.kind not in "biuf":
        raise DataError(f"{what} must be whole numbers or one-hot rows, got type {dtype}")


def check_labels(labels: Shaped[np.ndarray, "..."], count: int, classes: int | None, what: str) -> None:
    """Checks labels with their values.

    Args:
        labels: [N], whole numbers.
        count: N, of the images.
        classes: labels must be below; None for `MAX_CLASSES`.
        what: what the array is, for errors.

    Raises:
        DataError: if a label is no class.
    """
    if labels.shape != (count,):
        raise DataError(f"{what} must hold one label for each of {count} images, got shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{what} must be whole numbers, got type {labels.dtype}")
    if not count:
        return
    least, most = int(labels.min()), int(labels.max())
    if least < 0:
        raise DataError(f"{what} must be 0 or more, got {least}")
    if classes is not None and most >= classes:
        raise DataError(f"{what} must be below {classes}, the number of classes, got {most}")
    if most >= MAX_CLASSES:
        raise DataError(f"{what} must be below {MAX_CLASSES}, the most classes there may be, got {most}")


def check_set(
    images: Shaped[np.ndarray, "..."], labels: Shaped[np.ndarray, "..."], classes: int, class_names: Any
) -> None:
    """Checks that the parts of a set fit together.

    Args:
        images: [N, H, W, P].
        labels: [N], in [0, classes).
        classes: from 1 to `MAX_CLASSES`.
        class_names: a tuple with one str for each class, or an empty one.

    Raises:
        DataError: if they do not.
    """
    if images.ndim != 4 or labels.ndim != 1:
        raise DataError(f"images and labels must have shapes (N, H, W, P) and (N,), got {images.shape}, {labels.shape}")
    if not 1 <= classes <= MAX_CLASSES:
        raise DataError(f"classes must be from 1 to {MAX_CLASSES}, got {classes}")
    check_labels(labels, len(images), classes, "labels")
    if not isinstance(class_names, tuple) or not all(isinstance(name, str) for name in class_names):
        raise DataError(f"class_names must be a tuple of str, got {class_names!r:.80}")
    if len(class_names) not in (0, classes):
        raise DataError(f"class_names must be one for each of {classes} classes, got {len(class_names)}")
