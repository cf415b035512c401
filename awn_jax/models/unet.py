"""U-Net: an answer for every pixel, from features of all scales."""

import dataclasses
from typing import Any

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import max_pool, relu, upsample
from awn_jax.models.base import AnyWidthNetwork
from awn_jax.models.options import Options, changed
from awn_jax.models.parts import Parts

STEM = 64


@dataclasses.dataclass(frozen=True)
class UNetOptions(Options):
    """Those of every model, and

    Attributes:
        levels: scales, of which each has half the pixels in a row of the one before; published are 5.
        stride: pixels of the image in rows and columns that the first scale makes one of, by its first convolution: 1, as
            published, or 2 or 4, for as many times fewer operations; the network answers for those coarser pixels.
    """

    levels: int = 5
    stride: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.levels < 1:
            raise ValueError(f"levels must be at least 1, got {self.levels}")
        if self.stride not in (1, 2, 4):
            raise ValueError(f"stride must be 1, 2 or 4, got {self.stride}")


class Double(nnx.Module):
    """Two 3×3 convolutions, each with a norm and a ReLU."""

    def __init__(self, make: Parts, inputs: widths.Axis, outputs: widths.Axis, stride: int = 1):
        self.conv1 = make.conv_norm(inputs, outputs, 3, stride)
        self.conv2 = make.conv_norm(outputs, outputs, 3)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        return relu(self.conv2(relu(self.conv1(x, width)), width))


class Up(nnx.Module):
    """Coarse features of half the channels, enlarged and joined by birth with the fine ones of the way down; then `Double`."""

    def __init__(self, make: Parts, coarse: widths.Axis, fine: widths.Axis):
        self.reduce = make.conv_norm(coarse, fine, 1)
        self.join = make.concatenate(fine, fine)
        self.double = Double(make, self.join.axis, fine)

    def __call__(
        self, x: Float[Array, "B h w C"], fine: Float[Array, "B H W K"], width: widths.AnyWidth = 1
    ) -> Float[Array, "B H W K"]:
        x = upsample(relu(self.reduce(x, width)), fine.shape[1] // x.shape[1])
        return self.double(self.join([fine, x], width), width)


class UNet(AnyWidthNetwork):
    """Down through scales of twice the channels and half the pixels in a row, and up again, every scale joined with that of the
    way down; then a dense layer for every pixel.

    A narrow network is a prefix of the wide one all through: what is joined is sorted by birth. Convolutions are padded and
    have batch norms, as is usual today; on the way up, channels are halved before pixels are copied, where the publication has
    a transposed convolution.

    Args:
        image_size: height, width and planes of the images; pixels in a row must be multiples of stride · 2^(levels − 1).
        classes: number of outputs for every pixel.
        options: see `UNetOptions`; single ones can be given by name, as `levels=4`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are not of such a size.

    Source: U-Net (Ronneberger et al., 2015).
    """

    Options = UNetOptions

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: UNetOptions | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or UNetOptions(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs)
        coarsest = options.stride * 2 ** (options.levels - 1)
        if image_size[0] % coarsest or image_size[1] % coarsest:
            raise ValueError(
                f"image_size must be multiples of the coarsest stride {coarsest} for UNet, got {image_size[0]} × "
                f"{image_size[1]}"
            )
        self.dropout = options.dropout
        axes = [make.scaled(STEM * 2**level) for level in range(options.levels)]
        steps = zip([widths.Axis.whole(image_size[-1]), *axes], axes, strict=False)
        self.down = nnx.List(
            [Double(make, a, b, options.stride if level == 0 else 1) for level, (a, b) in enumerate(steps)]
        )
        self.up = nnx.List([Up(make, axes[level + 1], axes[level]) for level in reversed(range(options.levels - 1))])
        self.head = make.pixel_head(axes[0], classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        kept = []
        for level, double in enumerate(self.down):
            x = double(max_pool(x) if level else x, width)
            kept.append(x)
        kept.pop()
        for up in self.up:
            x = up(x, kept.pop(), width)
        return x
