"""What a backend is: three products with normalised static arguments, and a reason when it cannot run."""

import functools
import importlib
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, cast, get_args, runtime_checkable

from jax import Array

from .geometry import Padding, Strides
from .staircase import Visible

Implementation = Literal["reference", "xla_staircase", "pallas_tpu", "pallas_mosaic_gpu"]
IMPLEMENTATIONS: tuple[Implementation, ...] = get_args(Implementation)
_MODULES = dict(zip(IMPLEMENTATIONS, (".reference", ".xla.ops", ".pallas_tpu.ops", ".mosaic_gpu.ops"), strict=True))
# Made of XLA's own operations, which it can split over a mesh; see `sharded`.
MADE_OF_XLA: tuple[Implementation, ...] = ("reference", "xla_staircase")

Product = Literal["forward", "input_gradient", "weight_gradient"]
PRODUCTS: tuple[Product, ...] = get_args(Product)


class UnsupportedError(NotImplementedError):
    """What is asked for cannot run on this machine, or with the packages that it has; the message says why."""


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

    @classmethod
    def of(cls, backend: Backend) -> "Products":
        """Returns the three products of one backend."""
        return cls(backend.forward, backend.input_gradient, backend.weight_gradient)


@functools.cache
def load(implementation: str) -> Backend:
    """Returns the backend module of that name; imported on first use, since a GPU's need not import on a TPU.

    Args:
      implementation: one of `IMPLEMENTATIONS`.

    Returns:
      The module.

    Raises:
      ValueError: if there is none of that name.
      UnsupportedError: if it cannot be imported here.
    """
    if implementation not in _MODULES:
        raise ValueError(f"implementation must be None or one of {IMPLEMENTATIONS}, got {implementation!r}")
    try:
        return cast(Backend, importlib.import_module(_MODULES[implementation], __package__))
    except ImportError as error:
        raise UnsupportedError(f'implementation="{implementation}" cannot be imported here: {error}') from error
