"""What a backend is: three products with normalised static arguments, and a reason when it cannot run."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jax import Array

from .staircase import Visible

Strides = tuple[int, int]
Padding = tuple[tuple[int, int], tuple[int, int]]


class Products(NamedTuple):
    """The three products of a convolution, possibly from different backends.

    Attributes:
      forward: (x, w, visible, *, strides, padding) -> y.
      input_gradient: (dy, w, visible, *, x_shape, strides, padding) -> dx.
      weight_gradient: (x, dy, visible, *, w_shape, strides, padding) -> dw.
    """

    forward: Callable[..., Array]
    input_gradient: Callable[..., Array]
    weight_gradient: Callable[..., Array]


@runtime_checkable
class Backend(Protocol):
    """A module that implements the block-triangular convolution.

    `w` arrives unmasked: what it holds past the staircase must not reach any result.
    """

    forward: Callable[..., Array]
    input_gradient: Callable[..., Array]
    weight_gradient: Callable[..., Array]

    def unsupported(self, x: Array, w: Array, visible: Visible, *, strides: Strides, padding: Padding) -> str | None:
        """Returns why this backend cannot run these arguments on the target platform, or None if it can."""
        ...
