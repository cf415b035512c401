"""What images and labels must be, whatever source they come from: one set of checks for all.

A kind (shape and type) can be checked before a byte is read, values before they are cast. Casts are made here, and cannot
change a value that has passed: whole numbers stay the same, floats are rounded.

Dimensions: N images, H height, W width, P planes.
"""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped, UInt8

from awn_jax.errors import UserError

# A network has weights for each class: labels beyond are hash values or row numbers, not classes.
MAX_CLASSES = 100_000
# No image on a scale where white is 1, nor a standardised one, has pixels as large as this.
BRIGHT = 10.0

_IMAGE_ADVICE = {
    "b": ": multiply by 255 and make it uint8",
    "i": ": make it uint8 if white is 255, else divide by white and make it float32",
    "u": ": make it uint8 if white is 255, else divide by white and make it float32",
}


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
        dtype: uint8 or any float.
        what: what the array is, for errors.

    Raises:
        DataError: if it cannot.
    """
    if len(shape) not in (3, 4):
        raise DataError(f"{what} must have shape (N, H, W) or (N, H, W, planes), got {shape}")
    if 0 in shape:
        raise DataError(f"{what} must hold at least one image and pixel, got shape {shape}")
    if dtype != np.uint8 and dtype.kind != "f":
        advice = _IMAGE_ADVICE.get(dtype.kind, "")
        raise DataError(f"{what} must be of type uint8 or float, got {dtype}{advice}")


def check_label_kind(shape: tuple[int, ...], dtype: np.dtype, count: int, what: str) -> None:
    """Checks that an array can hold the labels of some images, from its shape and type alone.

    Args:
        shape: (N,) or (N, 1).
        dtype: whole numbers of any size.
        count: N, of the images.
        what: what the array is, for errors.

    Raises:
        DataError: if it cannot.
    """
    if shape not in ((count,), (count, 1)):
        advice = ": if it is one-hot, take its argmax(axis=1)" if len(shape) == 2 and shape[0] == count else ""
        raise DataError(f"{what} must hold one label for each of {count} images, got shape {shape}{advice}")
    if dtype.kind not in "iu":
        raise DataError(f"{what} must be whole numbers, got type {dtype}")


def check_labels(labels: Shaped[np.ndarray, "..."], count: int, classes: int | None, what: str) -> None:
    """Checks labels with their values.

    Args:
        labels: [N] or [N, 1].
        count: N, of the images.
        classes: labels must be below; None for `MAX_CLASSES`.
        what: what the array is, for errors.

    Raises:
        DataError: if a label is no class.
    """
    check_label_kind(labels.shape, labels.dtype, count, what)
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


def cast_images(
    images: Shaped[np.ndarray, "..."], what: str
) -> UInt8[np.ndarray, "N H W P"] | Float[np.ndarray, "N H W P"]:
    """Checks images and makes them uint8 or float32, with an axis of planes.

    Warns where floats are so large that white is not likely 1.

    Raises:
        DataError: if they are not images, or not finite before or after the cast.
    """
    check_image_kind(images.shape, images.dtype, what)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == np.uint8:
        return images
    # NaN wins in both, and rounding keeps the order: these two speak for all pixels, before and after the cast.
    extremes = np.array([images.min(), images.max()])
    if not np.isfinite(extremes).all():
        raise DataError(f"{what} must be finite, got NaN or infinite pixels")
    with np.errstate(over="ignore"):
        rounded = extremes.astype(np.float32)
    largest = np.abs(extremes).max()
    if not np.isfinite(rounded).all():
        raise DataError(f"{what} must be numbers that float32 can hold, got {largest:g}")
    if largest > BRIGHT:
        warn(f"{what} reaches {largest:g}: floats are taken as they are, white being 1; if it is 255, divide by 255")
    return images.astype(np.float32, copy=False)


def cast_labels(
    labels: Shaped[np.ndarray, "..."], count: int, classes: int | None, what: str
) -> Int32[np.ndarray, " N"]:
    """Checks labels and makes them int32 of shape [N].

    Args:
        labels: [N] or [N, 1], whole numbers of any type.
        count: N, of the images.
        classes: labels must be below; None for `MAX_CLASSES`.
        what: what the array is, for errors.

    Raises:
        DataError: if a label is no class.
    """
    check_labels(labels, count, classes, what)
    return labels.reshape(-1).astype(np.int32)


def warn_of_unused_zero(labels: Int[np.ndarray, " N"], what: str) -> None:
    """Warns where labels begin at 1, as they do where somebody counts so."""
    if labels.size and labels.min() == 1:
        warn(f"{what} begins at 1, class 0 has no image: if its classes are counted from 1, subtract 1")
