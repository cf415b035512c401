"""MobileNetV1: depthwise separable convolutions."""

import dataclasses
from typing import Any

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import global_mean, relu6
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, check_image_size, divisible_by_8

STEM = 32
# Channels, blocks, and stride of the first block of each stage.
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))


@dataclasses.dataclass(frozen=True)
class MobileNetV1Options(StagedOptions):
    """Those of every model with stages."""


class SeparableConv(nnx.Module):
    """A depthwise 3×3 and a pointwise convolution, each with a norm and ReLU6."""

    def __init__(self, make: Parts, inputs: widths.Axis, outputs: widths.Axis, stride: int):
        self.depthwise = make.depthwise_norm(inputs, 3, stride)
        self.pointwise = make.conv_norm(inputs, outputs, 1)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        return relu6(self.pointwise(relu6(self.depthwise(x, width)), width))


class MobileNetV1(AnyWidthClassifier):
    """Conv 3×3 / 2 – 13 separable convolutions, four of them with stride 2 – mean – dense.

    Args:
        image_size: height, width and planes of the images; at least 32 × 32.
        classes: number of classes.
        options: see `MobileNetV1Options`; single ones can be given by name, as `multiplier=0.5`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small.

    Source: MobileNets (Howard et al., 2017). The slimmable one (Yu et al., 2019) has 4,264,808 parameters, and at widths ¼, ½,
    ¾, 1 of 224 × 224 images 41, 150, 325 and 569 million multiply-accumulates and 53.1, 64.8, 69.5 and 71.5 % top-1 accuracy
    on ImageNet.
    """

    Options = MobileNetV1Options

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: MobileNetV1Options | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or MobileNetV1Options(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs, rounding=divisible_by_8)
        check_image_size("MobileNetV1", image_size, 32)
        self.dropout = options.dropout
        axis = make.scaled(STEM)
        self.stem = make.conv_norm(widths.Axis.whole(image_size[-1]), axis, 3, 2)
        blocks = []
        counts = options.counts([count for _, count, _ in STAGES])
        for (channels, _, stride), count in zip(STAGES, counts, strict=True):
            outputs = make.scaled(channels)
            for number in range(count):
                blocks.append(SeparableConv(make, axis, outputs, 1 if number else stride))
                axis = outputs
        self.blocks = nnx.List(blocks)
        self.head = make.head(axis, 1, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B C"]:
        x = relu6(self.stem(x, width))
        for block in self.blocks:
            x = block(x, width)
        return global_mean(x)
