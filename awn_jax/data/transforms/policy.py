"""A policy of changes to colour and shape, drawn anew for each picture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps

from awn_jax.data.transforms.marks import on_host
from awn_jax.data.transforms.places import check_alone

Picture = PIL.Image.Image

# The strength at which an operation does the most that it may; the grey that comes in where a picture moves away.
STRONGEST = 10
_GROUND = 128


@on_host
def rand_augment(
    rng: np.random.Generator, example: dict[str, Any], count: int = 2, strength: float = 9.0
) -> dict[str, Any]:
    """`count` operations, drawn with repetition, one after the other, all of one strength.

    Args:
        rng: random numbers.
        example: its image is a picture.
        count: of operations.
        strength: from 0, which changes little, to 10.

    Source: RandAugment (Cubuk et al., 2019).
    """
    check_alone(example, "rand_augment")
    picture = example["image"]
    for choice in rng.integers(len(OPERATIONS), size=count):
        # Either way: darker or brighter, to the left or to the right.
        sign = 1 if rng.random() < 0.5 else -1
        picture = list(OPERATIONS.values())[choice](picture, strength / STRONGEST, sign)
    return {**example, "image": picture}


def _enhanced(kind: Any) -> Callable[[Picture, float, int], Picture]:
    return lambda picture, share, sign: kind(picture).enhance(1 + sign * 0.9 * share)


def _moved(picture: Picture, matrix: tuple[int | float, ...]) -> Picture:
    ground = (_GROUND,) * len(picture.getbands())
    fill: Any = ground if len(ground) > 1 else _GROUND
    return picture.transform(
        picture.size, PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR, fillcolor=fill
    )


def _turned(picture: Picture, share: float, sign: int) -> Picture:
    angle = np.deg2rad(30 * share * sign)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    x, y = picture.width / 2, picture.height / 2
    return _moved(picture, (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y))


# By name: (picture, share of the most that it does, sign) -> picture.
OPERATIONS: dict[str, Callable[[Picture, float, int], Picture]] = {
    "identity": lambda picture, share, sign: picture,
    "autocontrast": lambda picture, share, sign: PIL.ImageOps.autocontrast(picture),
    "equalize": lambda picture, share, sign: PIL.ImageOps.equalize(picture),
    "posterize": lambda picture, share, sign: PIL.ImageOps.posterize(picture, 8 - round(4 * share)),
    "solarize": lambda picture, share, sign: PIL.ImageOps.solarize(picture, round(256 * (1 - share))),
    "colour": _enhanced(PIL.ImageEnhance.Color),
    "contrast": _enhanced(PIL.ImageEnhance.Contrast),
    "brightness": _enhanced(PIL.ImageEnhance.Brightness),
    "sharpness": _enhanced(PIL.ImageEnhance.Sharpness),
    "turn": _turned,
    "shear_x": lambda picture, share, sign: _moved(picture, (1, 0.3 * share * sign, 0, 0, 1, 0)),
    "shear_y": lambda picture, share, sign: _moved(picture, (1, 0, 0, 0.3 * share * sign, 1, 0)),
    "move_x": lambda picture, share, sign: _moved(picture, (1, 0, 0.45 * picture.width * share * sign, 0, 1, 0)),
    "move_y": lambda picture, share, sign: _moved(picture, (1, 0, 0, 0, 1, 0.45 * picture.height * share * sign)),
}
