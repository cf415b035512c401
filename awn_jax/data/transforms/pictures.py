"""Transforms of one picture where it is read, by Pillow; what has a place in it is moved along."""

import math
from typing import Any

import numpy as np

from awn_jax.data import geometry
from awn_jax.data.transforms.marks import on_host

_TRIES = 10


@on_host
def random_resized_crop(
    rng: np.random.Generator,
    example: dict[str, Any],
    size: tuple[int, int],
    least: float = 0.08,
    stretch: float = 4 / 3,
) -> dict[str, Any]:
    """A part of the picture, anywhere in it, resized: its area drawn evenly from [least, 1] of the picture's, its proportions,
    relative to those of the result, evenly on a logarithmic scale from [1 / stretch, stretch]. Where ten draws give none that
    lies in the picture, the largest part from the centre.

    Args:
        rng: random numbers.
        example: its image is a picture.
        size: height and width in pixels.
        least: share of the area, in (0, 1].
        stretch: 1 or more.

    Source: Going Deeper with Convolutions (Szegedy et al., 2014), in the form that is usual for ImageNet.
    """
    picture = example["image"]
    width, height = picture.size
    box = geometry.part(picture.size, size)
    for _ in range(_TRIES):
        area = rng.uniform(least, 1) * width * height
        ratio = size[1] / size[0] * math.exp(rng.uniform(-math.log(stretch), math.log(stretch)))
        across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if across <= width and down <= height:
            left, upper = rng.uniform(0, width - across), rng.uniform(0, height - down)
            box = left, upper, left + across, upper + down
            break
    return geometry.moved(example, box, size)


@on_host
def scale_jitter(
    rng: np.random.Generator, example: dict[str, Any], size: tuple[int, int], least: float = 0.5, most: float = 2.0
) -> dict[str, Any]:
    """The picture enlarged by a factor drawn evenly on a logarithmic scale from [least, most]; 1 just fits all of it in.

    Where it is larger than the result, a part from anywhere in it is taken; where it is smaller, it lies anywhere, zeros
    around it.

    Args:
        rng: random numbers.
        example: its image is a picture.
        size: height and width in pixels.
        least: the smallest factor, at most 1.
        most: the largest, 1 or more.

    Source: Simple Copy-Paste (Ghiasi et al., 2021), large-scale jittering.
    """
    picture = example["image"]
    left, upper, right, lower = geometry.part(picture.size, size, fit="pad")
    factor = math.exp(rng.uniform(math.log(least), math.log(most)))
    across, down = (right - left) / factor, (lower - upper) / factor
    left, upper = (
        rng.uniform(*sorted((0, whole - part))) for whole, part in zip(picture.size, (across, down), strict=True)
    )
    return geometry.moved(example, (left, upper, left + across, upper + down), size)
