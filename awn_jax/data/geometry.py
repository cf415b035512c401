"""Parts of pictures brought to a size, and what goes with a picture moved along.

Positions are in pixels, x to the right and y down, from the upper left corner of the upper left pixel.

Dimensions: M objects, K key points of an object, H height, W width, P planes.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import PIL.Image
from jaxtyping import Float, Num, UInt8

RESAMPLING = PIL.Image.Resampling.BILINEAR

Box = tuple[float, float, float, float]
Fit = Literal["crop", "pad", "stretch"]


def fitted(
    picture: PIL.Image.Image, size: tuple[int, int], crop: float = 1.0, fit: Fit = "crop"
) -> UInt8[np.ndarray, "H W P"]:
    """A picture brought to a size; arguments are those of `part`.

    A picture of that size is not changed where `crop` is 1. Pixels are averaged where it shrinks (Pillow's bilinear filter).
    """
    return pixels(cut(picture, part(picture.size, size, crop, fit), size))


def part(of: tuple[int, int], size: tuple[int, int], crop: float = 1.0, fit: Fit = "crop") -> Box:
    """Left, upper, right and lower edge of the part of a picture that is brought to a size; it may reach past the picture.

    Args:
        of: width and height of the picture, as Pillow gives them.
        size: height and width of the result.
        crop: share of the part's sides that is kept; 0.875 is usual for ImageNet.
        fit: `crop` takes the largest part of the result's shape, `pad` the smallest that holds the whole picture, both from its
            centre; `stretch` the picture itself, whatever its proportions.
    """
    width, height = of
    scales = width / size[1], height / size[0]
    across, down = scales
    if fit != "stretch":
        across = down = crop * (min if fit == "crop" else max)(scales)
    across, down = across * size[1], down * size[0]
    left, upper = (width - across) / 2, (height - down) / 2
    return left, upper, left + across, upper + down


def cut(
    picture: PIL.Image.Image, box: Box, size: tuple[int, int], resampling: PIL.Image.Resampling = RESAMPLING
) -> PIL.Image.Image:
    """A part of a picture at a size; zeros where it reaches past the picture.

    Args:
        picture: of 8 bits, or whole numbers.
        box: left, upper, right and lower edge in pixels, fractions allowed.
        size: height and width of the result in pixels.
        resampling: how pixels are made of others.
    """
    # Rounding may reach past the picture by a hair, which is no padding.
    limits = picture.size * 2
    edges = [round(edge) if abs(edge - round(edge)) < _HAIR else edge for edge in box]
    left, upper, right, lower = edges
    if picture.size == (size[1], size[0]) and edges == [0, 0, *picture.size]:
        return picture
    if any(edge < 0 or edge > limit for edge, limit in zip(edges, limits, strict=True)):
        x, y = min(0, int(np.floor(left))), min(0, int(np.floor(upper)))
        far, low = (max(end, int(np.ceil(edge))) for end, edge in zip(picture.size, (right, lower), strict=True))
        picture = picture.crop((x, y, far, low))
        left, upper, right, lower = left - x, upper - y, right - x, lower - y
    return picture.resize((size[1], size[0]), resampling, box=(left, upper, right, lower))


_HAIR = 1e-6


def pixels(picture: PIL.Image.Image) -> UInt8[np.ndarray, "H W P"]:
    """The pixels of a grey or coloured picture of 8 bits, with an axis of planes."""
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def moved(example: Mapping[str, Any], box: Box, size: tuple[int, int]) -> dict[str, Any]:
    """A part of an example's picture at a size, with all that has a place in the picture moved along.

    That are, where the example has them:
    - `boxes` [M, 4], the edges of objects: they end at the edge of the part;
    - `categories` [M]: −1, no object, where less than a pixel of a box is left;
    - `points` [M, K, 3], x, y and whether it is there: not, outside of the part;
    - `instances` [H, W], for every pixel 0 or 1 + the number of the object that it belongs to;
    - `frame` [4], the edges of what the image shows, in the picture as it was written.

    Args:
        example: its `image` is a picture.
        box: edges of the part, see `cut`.
        size: height and width of the result in pixels.
    """
    picture: PIL.Image.Image = example["image"]
    found = {**example, "image": cut(picture, box, size)}
    corner = np.array(box[:2], np.float32)
    scale = np.array([size[1] / (box[2] - box[0]), size[0] / (box[3] - box[1])], np.float32)
    for name, move in (("boxes", _boxes), ("points", _points)):
        if name in example:
            found[name] = move(example[name], corner, scale, size)
    if "instances" in example:
        whole = PIL.Image.fromarray(example["instances"].astype(np.int32))
        part = cut(whole, box, size, PIL.Image.Resampling.NEAREST)
        found["instances"] = np.asarray(part).astype(example["instances"].dtype)
    if "frame" in example:
        edges = example["frame"]
        unit = (edges[2:] - edges[:2]) / picture.size
        found["frame"] = np.concatenate([edges[:2] + unit * box[:2], edges[:2] + unit * box[2:]]).astype(np.float32)
    if "boxes" in example:
        found["categories"] = visible(found["boxes"], example["categories"])
    return found


def visible(boxes: Num[np.ndarray, "M 4"], categories: Num[np.ndarray, " M"]) -> Num[np.ndarray, " M"]:
    """The categories of objects, −1 where a box is less than a pixel wide or high."""
    return np.where((boxes[:, 2:] - boxes[:, :2] >= 1).all(1), categories, -1).astype(categories.dtype)


def _boxes(boxes: Float[np.ndarray, "M 4"], corner: Any, scale: Any, size: tuple[int, int]) -> Float[np.ndarray, "M 4"]:
    limits = np.array(size[::-1], np.float32)
    return np.clip((boxes.reshape(-1, 2) - corner) * scale, 0, limits).reshape(-1, 4).astype(np.float32)


def _points(
    points: Float[np.ndarray, "M K 3"], corner: Any, scale: Any, size: tuple[int, int]
) -> Float[np.ndarray, "M K 3"]:
    places = (points[..., :2] - corner) * scale
    inside = ((places >= 0) & (places <= np.array(size[::-1]))).all(-1, keepdims=True)
    return np.concatenate([places, points[..., 2:] * inside], -1).astype(np.float32)
