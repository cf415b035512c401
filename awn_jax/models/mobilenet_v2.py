"""MobileNetV2: inverted residuals, whose hidden channels are born with the channels that they expand."""

import dataclasses
from typing import Any, Literal

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import activation, add, global_mean
from awn_jax.models.backbone import Backbone
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, check_image_size, divisible_by_8

STEM, TAIL = 32, 1280
# Expansion, channels, blocks, and stride of the first block of each stage.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# Which of them has no stride where images are as small as CIFAR's.
UNSTRIDED = 1


@dataclasses.dataclass(frozen=True)
class MobileNetV2Options(StagedOptions):
    """Those of every model with stages, and

    Attributes:
        form: `imagenet`, as published, for images of about 224 × 224; or `cifar`, for about 32 × 32: stem and second stage
            without stride, ReLU in place of ReLU6, an expanding convolution in the first block too, and a 1×1 convolution on
            the shortcut where a block without stride changes the channels.
        stem_stride: 0 for that of the form, 2 or 1; 2 makes a `cifar` network four times cheaper.
    """

    form: Literal["imagenet", "cifar"] = "imagenet"
    stem_stride: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.stem_stride not in (0, 1, 2):
            raise ValueError(f"stem_stride must be 0, 1 or 2, got {self.stem_stride}")


class InvertedResidual(nnx.Module):
    """Pointwise to more channels – depthwise 3×3 – pointwise to few, and their sum with the input where the shapes agree."""

    def __init__(
        self, make: Parts, inputs: widths.Axis, outputs: widths.Axis, expansion: int, stride: int, cifar: bool
    ):
        hidden = inputs.expand(expansion)
        expands, same = expansion > 1 or cifar, inputs == outputs
        self.expand = make.conv_norm(inputs, hidden, 1) if expands else None
        self.depthwise = make.depthwise_norm(hidden, 3, stride)
        self.project = make.conv_norm(hidden, outputs, 1)
        self.adds = stride == 1 and (same or cifar)
        self.shortcut = make.conv_norm(inputs, outputs, 1) if self.adds and not same else None
        self.function: Literal["relu", "relu6"] = "relu" if cifar else "relu6"

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        y = activation(self.expand(x, width), self.function) if self.expand else x
        y = self.project(activation(self.depthwise(y, width), self.function), width)
        if not self.adds:
            return y
        return add(self.shortcut(x, width) if self.shortcut else x, y)


class MobileNetV2Backbone(Backbone):
    """Conv 3×3 – 17 inverted residuals.

    Args:
        make: makes the layers.
        planes: of the images.
        options: form, strides and blocks.
    """

    def __init__(self, make: Parts, planes: int, options: MobileNetV2Options):
        cifar = options.form == "cifar"
        self.function: Literal["relu", "relu6"] = "relu" if cifar else "relu6"
        axis, reached = make.scaled(STEM), options.stem_stride or (1 if cifar else 2)
        self.stem = make.conv_norm(widths.Axis.whole(planes), axis, 3, reached)
        blocks: list[InvertedResidual] = []
        # What is found at each stride, and behind how many blocks.
        ends = {reached: (axis, 0)}
        counts = options.counts([count for _, _, count, _ in STAGES])
        for stage, ((expansion, channels, _, stride), count) in enumerate(zip(STAGES, counts, strict=True)):
            outputs = make.scaled(channels)
            for number in range(count):
                step = stride if number == 0 and not (cifar and stage == UNSTRIDED) else 1
                blocks.append(InvertedResidual(make, axis, outputs, expansion, step, cifar))
                axis, reached = outputs, reached * step
                ends[reached] = (axis, len(blocks))
        self.put(blocks, ends)

    def begin(self, x: Float[Array, "B H W P"], width: widths.AnyWidth) -> Float[Array, "B h w C"]:
        return activation(self.stem(x, width), self.function)


class MobileNetV2(MobileNetV2Backbone, AnyWidthClassifier):
    """Conv 3×3 – 17 inverted residuals – conv 1×1 to four times the channels – mean – dense.

    Ordinary networks do not slice the 1,280 channels of the last convolution, as published; triangular ones do.

    Args:
        image_size: height, width and planes of the images; at least 32 × 32 pixels, or 8 × 8 in the `cifar` form.
        classes: number of classes.
        options: see `MobileNetV2Options`; single ones can be given by name, as `form="cifar"`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small.

    Source: MobileNetV2 (Sandler et al., 2018). The slimmable one (Yu et al., 2019) has 3,556,456 parameters, and at widths .35,
    ½, ¾, 1 of 224 × 224 images 59, 97, 209 and 301 million multiply-accumulates and 59.7, 64.4, 68.9 and 70.5 % top-1 accuracy
    on ImageNet. The `cifar` form is the one in common use; Any-Width Networks (Vu et al., 2020) report an area under the curve
    of 90.9 % with it on CIFAR-10.
    """

    Options = MobileNetV2Options

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: MobileNetV2Options | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or MobileNetV2Options(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs, rounding=divisible_by_8)
        cifar = options.form == "cifar"
        stem_stride = options.stem_stride or (1 if cifar else 2)
        check_image_size("MobileNetV2", image_size, stem_stride * (8 if cifar else 16))
        super().__init__(make, image_size[-1], options)
        self.dropout = options.dropout
        tail = make.unsliced(TAIL)
        self.tail = make.conv_norm(self.level_axes[-1], tail, 1)
        self.head = make.head(tail, 1, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B C"]:
        return global_mean(activation(self.tail(self.levels(x, width)[-1], width), self.function))
