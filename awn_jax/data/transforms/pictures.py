"""Transforms of one picture where it is read, by Pillow."""

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
    box = geometry.centre_box(picture.size, size)
    for _ in range(_TRIES):
        area = rng.uniform(least, 1) * width * height
        ratio = size[1] / size[0] * math.exp(rng.uniform(-math.log(stretch), math.log(stretch)))
        across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if across <= width and down <= height:
            left, upper = rng.uniform(0, width - across), rng.uniform(0, height - down)
            box = left, upper, left + across, upper + down
            break
    return {**example, "image": geometry.cut(picture, box, size)}
