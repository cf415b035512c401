"""ResNet: sums of blocks, which add channels that are born at the same widths."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import add, global_mean, max_pool, relu
from awn_jax.models.backbone import Backbone
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, check_image_size, truncated

STEM = 64
STAGES = (64, 128, 256, 512)
# Blocks of each stage, and whether they are bottlenecks, by the number of layers.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
}


@dataclasses.dataclass(frozen=True)
class ResNetOptions(StagedOptions):
    """Those of every model with stages, and

    Attributes:
        depth: number of layers with weights, 18, 34, 50 or 101; from 50 on, blocks are bottlenecks.
        form: `imagenet`, as published, for images of about 224 × 224: a 7×7 stem with stride 2 and a 3×3 pool with stride 2; or
            `cifar`, for about 32 × 32: a 3×3 stem with neither.
        exits: a head after every stage, all of which are trained, so that a narrow budget may also take fewer stages.
    """

    depth: Literal[18, 34, 50, 101] = 50
    form: Literal["imagenet", "cifar"] = "imagenet"
    exits: bool = False


class Basic(nnx.Module):
    """Two 3×3 convolutions, and their sum with the input."""

    expansion = 1

    def __init__(self, make: Parts, inputs: widths.Axis, channels: int, stride: int):
        self.outputs = make.scaled(channels)
        self.conv1 = make.conv_norm(inputs, self.outputs, 3, stride)
        self.conv2 = make.conv_norm(self.outputs, self.outputs, 3)
        self.shortcut = projection(make, inputs, self.outputs, stride)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        y = self.conv2(relu(self.conv1(x, width)), width)
        return relu(add(self.shortcut(x, width) if self.shortcut else x, y))


class Bottleneck(nnx.Module):
    """A pointwise convolution to a fourth of the channels, a 3×3 one, a pointwise one back, and their sum with the input."""

    expansion = 4

    def __init__(self, make: Parts, inputs: widths.Axis, channels: int, stride: int):
        middle, self.outputs = make.scaled(channels), make.scaled(self.expansion * channels)
        self.conv1 = make.conv_norm(inputs, middle, 1)
        self.conv2 = make.conv_norm(middle, middle, 3, stride)
        self.conv3 = make.conv_norm(middle, self.outputs, 1)
        self.shortcut = projection(make, inputs, self.outputs, stride)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        y = relu(self.conv2(relu(self.conv1(x, width)), width))
        y = self.conv3(y, width)
        return relu(add(self.shortcut(x, width) if self.shortcut else x, y))


def projection(make: Parts, inputs: widths.Axis, outputs: widths.Axis, stride: int) -> Any:
    """What the input of a block goes through before it is added: nothing (None) where it has the output's shape."""
    return None if stride == 1 and inputs == outputs else make.conv_norm(inputs, outputs, 1, stride)


class ResNetBackbone(Backbone):
    """A stem – four stages of blocks, from the second on with stride 2.

    Args:
        make: makes the layers.
        planes: of the images.
        options: depth, form and blocks.
    """

    def __init__(self, make: Parts, planes: int, options: ResNetOptions):
        self.pools = options.form == "imagenet"
        axis, reached = make.scaled(STEM), 4 if self.pools else 1
        size, stride = (7, 2) if self.pools else (3, 1)
        self.stem = make.conv_norm(widths.Axis.whole(planes), axis, size, stride)
        published, bottleneck = DEPTHS[options.depth]
        blocks: list[Basic | Bottleneck] = []
        # What is found at each stride, and behind how many blocks.
        ends = {reached: (axis, 0)}
        for channels, count in zip(STAGES, options.counts(published), strict=True):
            for number in range(count):
                stride = 2 if number == 0 and channels != STAGES[0] else 1
                blocks.append((Bottleneck if bottleneck else Basic)(make, axis, channels, stride))
                axis, reached = blocks[-1].outputs, reached * stride
                ends[reached] = (axis, len(blocks))
        self.put(blocks, ends)

    def begin(self, x: Float[Array, "B H W P"], width: widths.AnyWidth) -> Float[Array, "B h w C"]:
        x = relu(self.stem(x, width))
        return max_pool(x, 3, strides=2, padding=1) if self.pools else x


class ResNet(ResNetBackbone, AnyWidthClassifier):
    """A stem – four stages of blocks, from the second on with stride 2 – mean – dense.

    Args:
        image_size: height, width and planes of the images; at least 32 × 32 pixels, or 8 × 8 in the `cifar` form.
        classes: number of classes.
        options: see `ResNetOptions`; single ones can be given by name, as `depth=18`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small.

    Source: Deep Residual Learning (He et al., 2016), with the stride of a bottleneck on its 3×3 convolution. The slimmable
    ResNet-50 (Yu et al., 2019) has 25,636,712 parameters, and at widths ¼, ½, ¾, 1 of 224 × 224 images 0.28, 1.05, 2.32 and
    4.09 billion multiply-accumulates and 65.0, 72.1, 74.9 and 76.0 % top-1 accuracy on ImageNet.
    """

    Options = ResNetOptions

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: ResNetOptions | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or ResNetOptions(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs, rounding=truncated)
        check_image_size("ResNet", image_size, 32 if options.form == "imagenet" else 8)
        super().__init__(make, image_size[-1], options)
        self.dropout = options.dropout
        if options.exits and len(self.level_axes) > 1:
            self.early = nnx.List([make.head(axis, 1, classes) for axis in self.level_axes[:-1]])
        self.head = make.head(self.level_axes[-1], 1, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B C"]:
        return global_mean(self.levels(x, width)[-1])

    def staged(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Iterator[Float[Array, "B _"]]:
        return map(global_mean, self.each_level(x, width))
