"""Layers at which the Hopper kernels are checked, tuned, compiled and measured."""

import dataclasses

from ..backend import Padding, Strides
from ..shapes import SHAPES, Shape

# A GPU is fed larger batches than a CPU.
BATCH = 128


@dataclasses.dataclass(frozen=True)
class Layer(Shape):
    """A named shape with its batch: everything that a product takes."""

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """[B, H, W, C]."""
        return self.batch, self.size, self.size, self.in_channels

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
    def useful_flops(self) -> int:
        """Operations of one product on the weights that exist."""
        return 2 * self.macs(self.batch, sum(self.visible))

    def equal_weights(self) -> "Layer":
        """Returns the ordinary layer of as many weights: √2 narrower, in the multiple of 8 that dense kernels like."""
        narrow = self.narrower()
        c, k = (n if n < 40 else round(n / 8) * 8 for n in (narrow.in_channels, narrow.out_channels))
        return _layer(dataclasses.replace(narrow, in_channels=c, out_channels=k))


def _layer(shape: Shape, **changes: int) -> Layer:
    return Layer(**dataclasses.asdict(shape) | changes)


# What must be measured: the claims are about these.
KEY_LAYERS = (
    Layer("conv3_512", 28, 512, 512, batch=128),
    Layer("conv3_1024", 14, 1024, 1024, batch=128),
    Layer("conv1_512", 28, 512, 512, kernel=1, padding=0, batch=256),
    Layer("conv1_1024", 14, 1024, 1024, kernel=1, padding=0, batch=256),
)
OTHER_LAYERS = (
    *(_layer(shape, batch=BATCH) for shape in SHAPES),
    Layer("resnet_256_to_512", 28, 256, 512, stride=2, batch=BATCH),
    Layer("resnet_shortcut_256_to_512", 28, 256, 512, kernel=1, stride=2, padding=0, batch=BATCH),
)
# Of the net whose training step is measured.
NETWORK_LAYER = Layer("net3_512", 16, 512, 512, batch=256)
# So small that interpret mode gets through all of the bench.
TINY_LAYERS = (
    Layer("tiny_conv3", 6, 72, 72, batch=1),
    Layer("tiny_conv1", 6, 72, 40, kernel=1, padding=0, batch=1),
    Layer("tiny_stride2", 7, 8, 16, stride=2, batch=1),
)
