"""From whatever an image is given as to pixels of the size that a network takes.

Dimensions: B images, H height, W width, P planes.
"""

import os
import pathlib
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Num, Shaped

from awn_jax.data import DataError, decoding, geometry
from awn_jax.errors import UserError


class PictureError(UserError, ValueError):
    """Something is no image that a network can take; the message says what and why."""


def batch(
    images: Any, size: tuple[int, int, int], crop: float = 1.0, fit: geometry.Fit = "crop"
) -> tuple[Num[np.ndarray, "B H W P"], bool]:
    """Images as a network takes them, before normalisation, and whether a single one was given.

    Args:
        images: a path, a Pillow image, an array [H, W] or [H, W, P] (or [P] planes of its own where the size fits), a list of
            such, or an array [B, H, W, P].
        size: height, width and planes that the network takes.
        crop: of a picture that is brought to that size, see `data.geometry.part`.
        fit: likewise.

    Raises:
        PictureError: if one is no image, or cannot be brought to that size.
    """
    if isinstance(images, list | tuple):
        if not images:
            raise PictureError("images must be one or more, got none")
        pixels = [_one(image, size, f"image {number}", crop, fit) for number, image in enumerate(images)]
        if len({array.dtype for array in pixels}) > 1:
            raise PictureError("images must all be whole numbers in 0 to 255, or all be floats in 0 to 1, got both")
        return np.stack(pixels), False
    if not isinstance(images, str | os.PathLike | PIL.Image.Image):
        array = np.asarray(images)
        if array.ndim == 4:
            return batch(list(array), size, crop, fit)[0], False
    return _one(images, size, "the image", crop, fit)[None], True


def _one(image: Any, size: tuple[int, int, int], what: str, crop: float, fit: geometry.Fit) -> Num[np.ndarray, "H W P"]:
    if isinstance(image, str | os.PathLike | PIL.Image.Image):
        if size[-1] not in decoding.MODES:
            raise PictureError(f"images of {size[-1]} planes must be given as arrays of the network's size {size}")
        if isinstance(image, PIL.Image.Image):
            picture = decoding.converted(image, size[-1])
        else:
            picture = _read(pathlib.Path(image), size[-1])
        return geometry.fitted(picture, size[:2], crop, fit)
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not array.size:
        raise PictureError(f"{what} must have shape [height, width, planes], got {np.shape(image)}")
    if array.dtype.kind == "f" or array.shape == size:
        return _as_stored(array, size, what)
    if array.dtype != np.uint8 or array.shape[-1] not in (1, 3, 4):
        raise PictureError(
            f"{what} must be of type uint8 with 1, 3 or 4 planes, got {array.dtype} of shape {array.shape}"
        )
    return _one(PIL.Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array), size, what, crop, fit)


def _as_stored(array: Shaped[np.ndarray, "h w p"], size: tuple[int, int, int], what: str) -> Num[np.ndarray, "H W P"]:
    if array.shape != size:
        raise PictureError(f"{what}, of floats, must have the network's size {size}, got {array.shape}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or not np.isfinite(array).all() or np.abs(array).max() > 2:
        raise PictureError(f"{what} must be of type uint8, or of finite floats where white is 1, got {array.dtype}")
    return array.astype(np.float32)


def _read(path: pathlib.Path, planes: int) -> PIL.Image.Image:
    try:
        return decoding.decode(path.expanduser().read_bytes(), str(path), planes)
    except FileNotFoundError:
        raise PictureError(f"{path} is not there") from None
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror}") from error
    except DataError as error:
        raise PictureError(str(error)) from error
