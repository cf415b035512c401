"""What training does to images beyond normalising them, named in a row: `random_resized_crop, flip, mixup(alpha=0.2)`.

There are two kinds. A transform where images are read, on the host and in any number of workers, takes and gives one example
whose image is a picture: `(rng, example, **options) -> example`. One on the device, compiled into the step, takes and gives a
batch of examples whose images are of one size, as they are stored: `(key, examples, **options) -> examples`. Either may change
what goes with the image, as a flip moves boxes. One's own is named `module:function`; it is for the device unless it is marked
by `on_host`.
"""

import ast
import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from awn_jax import registry
from awn_jax.data.transforms import device, mixing, pictures, policy
from awn_jax.data.transforms.marks import is_on_host, on_host

__all__ = ["TRANSFORMS", "UNCHANGED", "Transforms", "on_host", "parse"]

Transform = Callable[..., dict[str, Any]]

TRANSFORMS: dict[str, Transform | str] = {
    "random_resized_crop": pictures.random_resized_crop,
    "scale_jitter": pictures.scale_jitter,
    "rand_augment": policy.rand_augment,
    "crop_flip": device.crop_flip,
    "flip": device.flip,
    "flip_vertical": device.flip_vertical,
    "transpose": device.transpose,
    "shift": device.shift,
    "colour_jitter": device.colour_jitter,
    "mixup": mixing.mixup,
    "cutmix": mixing.cutmix,
}
NONE = "none"
# What the options of those may be: from, to.
_LIMITS: dict[str, tuple[float, float]] = {
    "shift": (0, math.inf),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "alpha": (1e-3, 1e3),
    "share": (0, 1),
    "least": (1e-3, 1),
    "most": (1, 100),
    "stretch": (1, 100),
    "count": (0, 100),
    "strength": (0, policy.STRONGEST),
}


@dataclasses.dataclass(frozen=True)
class Transforms:
    """A row of transforms, each with its options bound.

    Attributes:
        host: where images are read.
        device: compiled into the step, after those.
    """

    host: tuple[Transform, ...] = ()
    device: tuple[Transform, ...] = ()


UNCHANGED = Transforms()


def parse(text: str, given: Mapping[str, Any]) -> Transforms:
    """The transforms that a config names.

    Args:
        text: names of `TRANSFORMS` or `module:function`, separated by commas, each with options in brackets if it likes, as
            `mixup(alpha=0.2)`; or `none`.
        given: what is passed to every transform that has an argument of this name, unless its brackets say otherwise.

    Raises:
        ValueError: if there is no such transform, it does not take such options, or one for the host comes after one for the
            device.
    """
    host: list[Transform] = []
    on_device: list[Transform] = []
    names = [] if text.strip() == NONE else re.split(r",(?![^()]*\))", text)
    for name in (part.strip() for part in names):
        bound, here = _bound(name, given)
        if here and on_device:
            raise ValueError(
                f"augment must name transforms where images are read before those on the device, got {name!r} behind "
                f"{text[: text.index(name)].strip(' ,')!r}"
            )
        (host if here else on_device).append(bound)
    return Transforms(tuple(host), tuple(on_device))


def _bound(text: str, given: Mapping[str, Any]) -> tuple[Transform, bool]:
    """A transform with its options, and whether it runs where images are read."""
    name, bracket, rest = (part.strip() for part in text.partition("("))
    if name == NONE:
        raise ValueError(f"augment must be {NONE!r} alone, or transforms without it, got {text!r} among others")
    function = registry.resolve(name, {**TRANSFORMS, NONE: NONE}, "augment")
    options = _options(text, rest) if bracket else {}
    try:
        signature = inspect.signature(function)
        options = {**{key: value for key, value in given.items() if key in signature.parameters}, **options}
        signature.bind(None, None, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"augment must be functions (key, examples, **options), got {name!r} with options {options}: {error}"
        ) from error
    if name in TRANSFORMS:
        _check(name, options, signature)
    return functools.partial(function, **options), is_on_host(function)


def _check(name: str, options: Mapping[str, Any], signature: inspect.Signature) -> None:
    for option, (low, high) in _LIMITS.items():
        value = options.get(option)
        if value is None:
            continue
        kinds = (int,) if isinstance(signature.parameters[option].default, int) else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
            kind = "a whole number" if kinds == (int,) else "a number"
            raise ValueError(f"augment: {option} of {name} must be {kind} in [{low:g}, {high:g}], got {value!r}")


def _options(text: str, rest: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("options have names")
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, AssertionError) as error:
        raise ValueError(f"augment must have options as in 'mixup(alpha=0.2)', got {text!r}: {error}") from error
