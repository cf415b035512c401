"""What the arrays that people have mean: pixels of any type and scale, labels of any form.

Where there is one right reading, it is taken; where there are two, the array is refused with the reason. All splits of a set
must be read alike, so what depends on values depends on those of all splits.

Dimensions: N images, H height, W width, P planes, K classes.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int32, Integer, Shaped, UInt8

from awn_jax.data import checks
from awn_jax.data.checks import MAX_CLASSES, DataError

# No image on a scale where white is 1, nor a standardised one, has pixels as large as this.
BRIGHT = 10.0
# The largest number of 14 bits, the most that cameras have in numbers of 16: above it, white is the largest of 16.
_FOURTEEN_BITS, _SIXTEEN_BITS = (1 << 14) - 1, (1 << 16) - 1


def by_values(dtype: np.dtype) -> bool:
    """Whether what images of a type mean depends on their values."""
    return dtype not in (np.uint8, np.bool_)


def extremes(array: Shaped[np.ndarray, "..."]) -> tuple[int | float, int | float]:
    """The least and the largest number of an array that is not empty; NaN if it holds any."""
    return array.min().item(), array.max().item()


def images(
    array: Shaped[np.ndarray, "..."], what: str, others: Sequence[int | float] = ()
) -> UInt8[np.ndarray, "N H W P"] | Float[np.ndarray, "N H W P"]:
    """Images as uint8 in 0 to 255, or float32 where white is 1, with an axis of planes.

    Args:
        array: [N, H, W] or [N, H, W, P]. Truth values are black and white. Whole numbers are of 8 bits if none is above 255, of
            16 if one is above 16,383. Floats of 0 or more are on a scale of 255 if one is above 10; others stay as they are.
        what: what the array is, for errors.
        others: pixels of the set's other splits which must be read alike.

    Raises:
        DataError: if they are not images, not finite, or could be on two scales.
    """
    checks.check_image_kind(array.shape, array.dtype, what)
    if array.ndim == 3:
        array = array[..., None]
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    # NaN wins in both, and rounding keeps the order: these two speak for all pixels, before and after a cast.
    own = extremes(array)
    known = [value for value in others if math.isfinite(value)]
    least, most = min(*own, *known), max(*own, *known)
    if array.dtype.kind == "f":
        return _floats(array, own, least, most, what)
    return _whole(array, int(least), int(most), what)


def _floats(
    array: Float[np.ndarray, "N H W P"], own: tuple[int | float, ...], least: int | float, most: int | float, what: str
) -> UInt8[np.ndarray, "N H W P"] | Float[np.ndarray, "N H W P"]:
    if not np.isfinite(own).all():
        raise DataError(f"{what} must be finite, got NaN or infinite pixels")
    if max(-least, most) <= BRIGHT:
        return array.astype(np.float32, copy=False)
    if least < 0 or most > 255:
        raise DataError(
            f"{what} must be floats of 0 to 1, of 0 to 255, or standardised, got {least:g} to {most:g}: divide by white"
        )
    bytes_ = array.astype(np.uint8)
    return bytes_ if np.array_equal(bytes_, array) else (array / 255).astype(np.float32)


def _whole(
    array: Integer[np.ndarray, "N H W P"], least: int, most: int, what: str
) -> UInt8[np.ndarray, "N H W P"] | Float[np.ndarray, "N H W P"]:
    if least < 0:
        raise DataError(f"{what} must be 0 or more, got {least}: is 0 black, or grey? Make it uint8, 0 being black")
    if most <= 255:
        if most == 1:
            checks.warn(f"{what} reaches 1: white is taken to be 255; if it is 1, make it bool")
        return array.astype(np.uint8)
    if most <= _FOURTEEN_BITS or most > _SIXTEEN_BITS:
        raise DataError(
            f"{what} must say what white is: up to {most} of {array.dtype}, it may be of 10, 12, 14, 16 or more bits; "
            "divide by white and make it float32"
        )
    return array.astype(np.float32) / np.float32(_SIXTEEN_BITS)


def labels(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], classes: int | None
) -> tuple[Int32[np.ndarray, " N"], int, tuple[str, ...]]:
    """Labels as whole numbers from 0.

    Args:
        arrays: of all splits, the wanted one first, by what errors call them: numbers [N] or [N, 1], which may be truth values
            or floats, or one-hot rows [N, K]. Numbers that begin at 1 are counted from there if the number of classes says so,
            or if every number up to the largest is there.
        classes: their number, where it is known.

    Returns:
        Those of the first array; the number of classes; their names, as they were numbered, where the numbers have changed.

    Raises:
        DataError: if they are no classes, or could be counted from 0 or from 1.
    """
    if classes is None:
        widths = {array.shape[1] for array in arrays.values() if array.ndim == 2 and array.shape[1] > 1}
        classes = max(widths, default=None)
    found = {name: _numbers(array, name) for name, array in arrays.items()}
    (first, own), *_ = found.items()
    # As Python's numbers: NumPy would make floats of signed and unsigned ones together.
    every = sorted(set().union(*(np.unique(numbers).tolist() for numbers in found.values())))
    names: tuple[str, ...] = ()
    if every and every[0] == 1 and _counted_from_one(every, classes, first):
        found = {name: numbers - 1 for name, numbers in found.items()}
        names = tuple(map(str, every)) if classes is None else ()
        own, every = found[first], [number - 1 for number in every]
    for name, numbers in found.items():
        checks.check_labels(numbers, len(numbers), classes, name)
    return own.astype(np.int32), 1 + every[-1] if classes is None else classes, names


def superclasses(own: Integer[np.ndarray, " N"], coarse: Integer[np.ndarray, " N"], classes: int) -> tuple[int, ...]:
    """The superclass of each class, -1 for one that has no image; nothing where images of one class have different ones.

    Args:
        own: the class of each image.
        coarse: its superclass.
        classes: K.
    """
    found = np.full(classes, -1)
    found[own] = coarse
    return tuple(found.tolist()) if (found[own] == coarse).all() else ()


def _counted_from_one(every: Sequence[int], classes: int | None, what: str) -> bool:
    most = every[-1]
    if classes is not None:
        return most == classes
    if 1 < most == len(every):
        return True
    if most < MAX_CLASSES:
        raise DataError(
            f"{what} must begin at 0, or hold every number from 1 on, got {len(every)} numbers from 1 to {most}: they may be "
            "counted from 0 or from 1; class_names says how many there are"
        )
    return False


def _numbers(array: Shaped[np.ndarray, "..."], what: str) -> Integer[np.ndarray, " N"]:
    checks.check_label_kind(array.shape, array.dtype, len(array), what)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.rint(array)).all() and (abs(array) < 2**53).all()):
            raise DataError(f"{what} must be whole numbers or one-hot rows, got {array.reshape(-1)[_odd(array)]}")
        array = array.astype(np.int64)
    if array.ndim == 2 and array.shape[1] > 1:
        hot: Bool[np.ndarray, "N K"] = array == 1
        if not ((array == 0) | hot).all() or not (hot.sum(1) == 1).all():
            raise DataError(f"{what} must have one 1 in each row, else 0, if it has a column for each class")
        return hot.argmax(1)
    array = array.reshape(-1)
    return array.astype(np.int64) if array.dtype == np.bool_ else array


def _odd(array: Float[np.ndarray, "..."]) -> int:
    flat = array.reshape(-1)
    return int(np.argmax(~(np.isfinite(flat) & (flat == np.rint(flat)) & (abs(flat) < 2**53))))
