"""Layers of real networks, for tests and benchmarks."""

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import jax
from jax import Array
from jax.typing import DTypeLike

from . import staircase
from .api import triangular_conv
from .backend import Implementation, Product, Products
from .geometry import Padding, Strides
from .staircase import Visible


@dataclasses.dataclass(frozen=True)
class Shape:
    """A convolution of a network whose channels are born evenly spread over the widths.

    Attributes:
      name: network and layer.
      size: pixels along an edge of the square input.
      in_channels: C.
      out_channels: K.
      kernel: taps along an edge.
      stride: in both directions.
      padding: zeros on every side.
      batch: images in a benchmark.
      whole_input: whether every output reads every input, as in a first layer.
      expansion: hidden channels per channel, of the layers that expand to them or project from them.
      full: (C, K) at full width, of a layer at a narrower one.
    """

    name: str
    size: int
    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    batch: int = 32
    whole_input: bool = False
    expansion: int | None = None
    full: tuple[int, int] | None = None

    @property
    def visible(self) -> Visible:
        """The staircase: an output reads the inputs that are born no later than itself.

        Channel t of C is born at (2t + 1) / 2C; a hidden channel of an inverted bottleneck with the one it expands.
        """
        c, k = self.full or (self.in_channels, self.out_channels)
        if self.whole_input:
            return (c,) * self.out_channels
        if self.expansion is not None:
            every = [s // self.expansion + 1 if c < k else (s + 1) * self.expansion for s in range(k)]
        else:
            every = [max(1, ((2 * s + 1) * c - k) // (2 * k) + 1) for s in range(k)]
        return tuple(every[: self.out_channels])

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """[B, H, W, C]."""
        return self.batch, self.size, self.size, self.in_channels

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """[kh, kw, C, K]."""
        return self.kernel, self.kernel, self.in_channels, self.out_channels

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """[B, H', W', K]."""
        return self.batch, self.out_size, self.out_size, self.out_channels

    @property
    def strides(self) -> Strides:
        """Vertical and horizontal."""
        return self.stride, self.stride

    @property
    def pads(self) -> Padding:
        """((top, bottom), (left, right))."""
        return (self.padding, self.padding), (self.padding, self.padding)

    @property
    def out_size(self) -> int:
        """Pixels along an edge of the output."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def useful_macs(self) -> int:
        """Multiply-accumulates of one product with the weights that exist."""
        return self.batch * self.out_size**2 * self.kernel**2 * staircase.useful_macs(self.visible)

    def at_width(self, alpha: float) -> "Shape":
        """Returns the layer at a width: the first active channels, ceil(αC − ½), of both axes.

        A float means the decimal number that it prints as: 0.55 · 1810 is 995.5, which the product of floats exceeds.
        """
        exact = Fraction(str(alpha))
        c, k = (max(1, math.ceil(exact * n - Fraction(1, 2))) for n in (self.in_channels, self.out_channels))
        if self.whole_input:
            c = self.in_channels
        elif self.expansion is not None:
            c, k = (c, c * self.expansion) if c < k else (k * self.expansion, k)
        full = (self.in_channels, self.out_channels)
        return dataclasses.replace(self, name=f"{self.name}@{alpha:g}", in_channels=c, out_channels=k, full=full)

    def ordinary(self, multiple: int = 1) -> "Shape":
        """Returns the ordinary layer of about as many weights: √2 fewer channels on every triangular axis.

        Args:
          multiple: of channels, where there are 40 or more; dense kernels on a GPU like 8.
        """
        c, k = (max(1, round(n / math.sqrt(2))) for n in (self.in_channels, self.out_channels))
        c, k = (self.in_channels, self.out_channels) if self.whole_input else (c, k)
        c, k = (n if n < 40 else round(n / multiple) * multiple for n in (c, k))
        name = f"{self.name}/√2"
        return dataclasses.replace(self, name=name, in_channels=c, out_channels=k, whole_input=True, full=None)

    def arguments(self, batch: int | None = None, dtype: DTypeLike = "float32") -> tuple[jax.ShapeDtypeStruct, ...]:
        """Returns the shapes and dtypes of (x, w)."""
        x_shape = (batch or self.batch, *self.x_shape[1:])
        return jax.ShapeDtypeStruct(x_shape, dtype), jax.ShapeDtypeStruct(self.w_shape, dtype)

    def conv(self, x: Array, w: Array, implementation: Implementation | None = None) -> Array:
        """Returns the layer's triangular convolution."""
        return triangular_conv(
            x, w, self.visible, strides=self.strides, padding=self.pads, implementation=implementation
        )

    def product(self, name: Product, products: Products, x: Array, w: Array, dy: Array) -> Array:
        """Returns one of the layer's three products, computed by the given functions."""
        static: dict[str, Any] = {"strides": self.strides, "padding": self.pads}
        if name == "forward":
            return products.forward(x, w, self.visible, **static)
        if name == "input_gradient":
            return products.input_gradient(dy, w, self.visible, x_shape=self.x_shape, **static)
        return products.weight_gradient(x, dy, self.visible, w_shape=self.w_shape, **static)


SHAPES = (
    Shape("lenet_conv1", 28, 1, 45, padding=0, batch=128, whole_input=True),
    Shape("lenet_conv2", 26, 45, 45, padding=0, batch=128),
    Shape("lenet_conv3", 12, 45, 45, kernel=5, padding=0, batch=128),
    Shape("mobilenet_expand_34", 32, 34, 204, kernel=1, padding=0, expansion=6),
    Shape("mobilenet_project_34", 32, 204, 34, kernel=1, padding=0, expansion=6),
    Shape("mobilenet_expand_136", 8, 136, 816, kernel=1, padding=0, batch=64, expansion=6),
    Shape("mobilenet_project_136", 8, 816, 136, kernel=1, padding=0, batch=64, expansion=6),
    Shape("mobilenet_head", 4, 452, 1810, kernel=1, padding=0, batch=128),
    Shape("resnet_64", 56, 64, 64, batch=8),
    Shape("resnet_128", 28, 128, 128, batch=16),
    Shape("resnet_128_to_256", 28, 128, 256, stride=2, batch=16),
    Shape("resnet_256", 14, 256, 256),
    Shape("resnet_512", 7, 512, 512),
    Shape("resnet_1024", 7, 1024, 1024, batch=16),
)


def find(name: str) -> Shape:
    """Returns the shape of that name.

    Raises:
      ValueError: if there is none.
    """
    for shape in SHAPES:
        if shape.name == name:
            return shape
    raise ValueError(f"no shape is named {name!r}, the names are {[shape.name for shape in SHAPES]}")


def at_widths(shape: Shape, widths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)) -> Iterator[Shape]:
    """Yields the layer at each width; a narrower width is a prefix of the full layer."""
    return (shape if alpha == 1 else shape.at_width(alpha) for alpha in widths)
