"""Where a transform runs."""

from collections.abc import Callable
from typing import Any, TypeVar

_MARK = "runs_on_host"

F = TypeVar("F", bound=Callable[..., Any])


def on_host(transform: F) -> F:
    """Marks a transform that runs where images are read: `(rng, example, **options) -> example`.

    `rng` is a `numpy.random.Generator` of its own for each example, `example["image"]` a `PIL.Image.Image`. An argument `size`
    is given the height and width that images are brought to.
    """
    setattr(transform, _MARK, True)
    return transform


def is_on_host(transform: Callable[..., Any]) -> bool:
    """Whether it is marked so."""
    return getattr(transform, _MARK, False)
