"""A feature pyramid with one answer for each of its finest pixels: for detection, key points, or classes of pixels."""

import dataclasses
import itertools
from typing import Any, Literal

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import add, relu, upsample
from awn_jax.models.backbone import Backbone
from awn_jax.models.base import AnyWidthNetwork
from awn_jax.models.mobilenet_v2 import MobileNetV2Backbone, MobileNetV2Options
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, divisible_by_8, truncated
from awn_jax.models.resnet import ResNetBackbone, ResNetOptions


@dataclasses.dataclass(frozen=True)
class FPNOptions(StagedOptions):
    """Those of every model with stages, which are the backbone's, and

    Attributes:
        backbone: the network that makes the features, in its form for large images.
        stride: rows and columns of the image that one answer stands for; one of the backbone's from 4 on.
        channels: of every level of the pyramid, before the multiplier.
        tower: number of 3×3 convolutions between the pyramid and the head, at least 1.
    """

    backbone: Literal["mobilenet_v2", "resnet18"] = "mobilenet_v2"
    stride: int = 8
    channels: int = 64
    tower: int = 3

    def __post_init__(self):
        super().__post_init__()
        for name, least in (("channels", 1), ("tower", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


class Pyramid(nnx.Module):
    """All levels of a backbone as one: from the coarsest on, each is made twice as large and added to the next finer one.

    All of them have the same births, so their sums keep the prefix.

    Args:
        make: makes the layers.
        inputs: axes of the levels, the finest first.
        axis: of the sums.
        factors: between each level and the next coarser one.
    """

    def __init__(self, make: Parts, inputs: tuple[widths.Axis, ...], axis: widths.Axis, factors: tuple[int, ...]):
        self.laterals = nnx.List([make.conv_norm(one, axis, 1) for one in inputs])
        self.factors = factors

    def __call__(self, levels: list[Float[Array, "B _ _ _"]], width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        own = [lateral(x, width) for lateral, x in zip(self.laterals, levels, strict=True)]
        total = own[-1]
        for x, factor in reversed(list(zip(own, self.factors, strict=False))):
            total = add(x, upsample(total, factor))
        return relu(total)


class FPN(AnyWidthNetwork):
    """A backbone – pyramid – tower of 3×3 convolutions – dense layer at each pixel.

    Args:
        image_size: height, width and planes of the images; rows and columns are multiples of the coarsest stride, 32.
        outputs: numbers that each pixel of the answer gets; the task says how many.
        options: see `FPNOptions`; single ones can be given by name, as `stride=4`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images have another size, or the backbone does not have the stride.

    Source: Feature Pyramid Networks (Lin et al., 2017), of which only the finest level is read, as in CenterNet (Zhou et al.,
    2019). The authors of slimmable networks (Yu et al., 2019) slim the backbone of a detector alone; here, all layers are.
    """

    Options = FPNOptions

    def __init__(
        self,
        image_size: tuple[int, int, int],
        outputs: int,
        options: FPNOptions | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or FPNOptions(), named)
        rounding = divisible_by_8 if options.backbone == "mobilenet_v2" else truncated
        make = Parts(options, family=family, implementation=implementation, rngs=rngs, rounding=rounding)
        self.dropout = options.dropout
        self.backbone = _backbone(make, image_size[-1], options)
        strides = self.backbone.strides
        if options.stride < 4 or options.stride not in strides:
            offered = ", ".join(str(stride) for stride in strides if stride >= 4)
            raise ValueError(f"stride must be one of {offered} of the backbone, got {options.stride}")
        height, breadth, _ = image_size
        if height % strides[-1] or breadth % strides[-1]:
            raise ValueError(
                f"image_size must be multiples of the coarsest stride {strides[-1]} for FPN, got {height} × {breadth}"
            )
        self.finest = strides.index(options.stride)
        used = strides[self.finest :]
        axis = make.scaled(options.channels)
        factors = tuple(coarse // fine for fine, coarse in itertools.pairwise(used))
        self.pyramid = Pyramid(make, self.backbone.level_axes[self.finest :], axis, factors)
        self.tower = nnx.List([make.conv_norm(axis, axis, 3) for _ in range(options.tower)])
        self.head = make.pixel_head(axis, outputs)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        x = self.pyramid(self.backbone.levels(x, width)[self.finest :], width)
        for conv in self.tower:
            x = relu(conv(x, width))
        return x


def _backbone(make: Parts, planes: int, options: FPNOptions) -> Backbone:
    if options.backbone == "resnet18":
        return ResNetBackbone(make, planes, ResNetOptions(depth=18, blocks=options.blocks))
    return MobileNetV2Backbone(make, planes, MobileNetV2Options(blocks=options.blocks))
