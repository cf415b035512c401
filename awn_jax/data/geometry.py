"""Pictures brought to a size."""

import numpy as np
import PIL.Image
from jaxtyping import UInt8

RESAMPLING = PIL.Image.Resampling.BILINEAR

Box = tuple[float, float, float, float]


def fitted(picture: PIL.Image.Image, size: tuple[int, int], crop: float = 1.0) -> UInt8[np.ndarray, "H W P"]:
    """The largest part of a picture that has the shape asked for, from its centre, resized; with its proportions kept.

    A picture of that size is not changed where `crop` is 1. Pixels are averaged where it shrinks (Pillow's bilinear filter).

    Args:
        picture: of 8 bits, grey or coloured.
        size: height and width in pixels.
        crop: share of that part's sides that is kept; 0.875 is usual for ImageNet.
    """
    return pixels(cut(picture, centre_box(picture.size, size, crop), size))


def centre_box(of: tuple[int, int], size: tuple[int, int], crop: float = 1.0) -> Box:
    """Left, upper, right and lower edge of the part that `fitted` takes from a picture.

    Args:
        of: width and height of the picture, as Pillow gives them.
        size: height and width of the result.
        crop: share of the part's sides that is kept.
    """
    width, height = of
    scale = crop * min(width / size[1], height / size[0])
    across, down = scale * size[1], scale * size[0]
    left, upper = (width - across) / 2, (height - down) / 2
    return left, upper, left + across, upper + down


def cut(picture: PIL.Image.Image, box: Box, size: tuple[int, int]) -> PIL.Image.Image:
    """A part of a picture at a size.

    Args:
        picture: of 8 bits.
        box: left, upper, right and lower edge in pixels, fractions allowed.
        size: height and width of the result in pixels.
    """
    # Rounding may reach past the picture by a hair, which Pillow refuses.
    limits = picture.size * 2
    left, upper, right, lower = (min(max(0.0, edge), limit) for edge, limit in zip(box, limits, strict=True))
    if picture.size == (size[1], size[0]) and (left, upper, right, lower) == (0, 0, *picture.size):
        return picture
    return picture.resize((size[1], size[0]), RESAMPLING, box=(left, upper, right, lower))


def pixels(picture: PIL.Image.Image) -> UInt8[np.ndarray, "H W P"]:
    """The pixels of a grey or coloured picture of 8 bits, with an axis of planes."""
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array
