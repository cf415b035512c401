"""Real layers at which the Hopper kernels are checked, tuned, compiled and measured."""

from dataclasses import dataclass

from kernels.backend import Padding, Strides


@dataclass(frozen=True)
class Layer:
    """A square-image convolution whose staircase is the triangle through (C, K).

    Attributes:
      name: what tables call it.
      batch: images.
      size: height and width of the image.
      in_channels: C.
      out_channels: K.
      kernel: taps in each direction.
      stride: in both directions.
      pad: pixels of zero padding on every side.
    """

    name: str
    batch: int
    size: int
    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    pad: int = 0

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
        size = (self.size + 2 * self.pad - self.kernel) // self.stride + 1
        return self.batch, size, size, self.out_channels

    @property
    def visible(self) -> tuple[int, ...]:
        """How many inputs each output reads."""
        return tuple(-(-self.in_channels * (k + 1) // self.out_channels) for k in range(self.out_channels))

    @property
    def strides(self) -> Strides:
        """Vertical and horizontal."""
        return self.stride, self.stride

    @property
    def padding(self) -> Padding:
        """((top, bottom), (left, right))."""
        return (self.pad, self.pad), (self.pad, self.pad)

    @property
    def useful_flops(self) -> int:
        """Operations of one product on the weights that exist."""
        batch, height, width, _ = self.y_shape
        return 2 * batch * height * width * self.kernel**2 * sum(self.visible)

    def equal_weights(self) -> "Layer":
        """Returns the ordinary layer of as many weights: √2 narrower, in the multiple of 8 that dense kernels like."""
        c, k = (_narrower(n) for n in (self.in_channels, self.out_channels))
        return Layer(f"{self.name}/√2", self.batch, self.size, c, k, self.kernel, self.stride, self.pad)


# What must be measured: the claims are about these.
KEY_LAYERS = (
    Layer("conv3_512", 128, 28, 512, 512, pad=1),
    Layer("conv3_1024", 128, 14, 1024, 1024, pad=1),
    Layer("conv1_512", 256, 28, 512, 512, kernel=1),
    Layer("conv1_1024", 256, 14, 1024, 1024, kernel=1),
)
OTHER_LAYERS = (
    Layer("conv3_256", 128, 28, 256, 256, pad=1),
    Layer("conv3_128", 128, 28, 128, 128, pad=1),
    Layer("conv3_64", 128, 56, 64, 64, pad=1),
    Layer("conv3_256_512_stride2", 128, 28, 256, 512, stride=2, pad=1),
    Layer("conv1_256_512_stride2", 128, 28, 256, 512, kernel=1, stride=2),
    Layer("conv3_512_7x7", 128, 7, 512, 512, pad=1),
    Layer("expand_34_204", 128, 16, 34, 204, kernel=1),
    Layer("project_204_34", 128, 16, 204, 34, kernel=1),
    Layer("last_452_1810", 128, 4, 452, 1810, kernel=1),
    Layer("lenet_conv1", 128, 28, 1, 45),
    Layer("lenet_conv2", 128, 26, 45, 45),
    Layer("lenet_conv3", 128, 12, 45, 45, kernel=5),
)
# Of the net whose training step is measured.
NETWORK_LAYER = Layer("net3_512", 256, 16, 512, 512, pad=1)
# So small that interpret mode gets through all of the bench.
TINY_LAYERS = (
    Layer("tiny_conv3", 1, 6, 72, 72, pad=1),
    Layer("tiny_conv1", 1, 6, 72, 40, kernel=1),
    Layer("tiny_stride2", 1, 7, 8, 16, stride=2, pad=1),
)


def _narrower(channels: int) -> int:
    exact = channels / 2**0.5
    return max(1, round(exact)) if channels < 64 else round(exact / 8) * 8
