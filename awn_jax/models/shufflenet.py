"""ShuffleNetV1: convolutions in three groups, with a channel shuffle between them."""

import dataclasses
from typing import Any

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import add, global_mean, max_pool, mean_pool, relu
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, check_image_size, truncated

GROUPS = 3
STEM = 48
# Channels and blocks of each stage; the first block of each has stride 2. These are the published channels of the widest
# network, "2×": widths ¼, ½ and 1 of it are the published .5×, 1× and 2×.
STAGES = ((480, 4), (960, 8), (1920, 4))


@dataclasses.dataclass(frozen=True)
class ShuffleNetV1Options(StagedOptions):
    """Those of every model with stages; `multiplier` is of the channels of the widest published network, 480, 960 and 1,920."""


class Unit(nnx.Module):
    """Grouped pointwise – shuffle – depthwise 3×3 – grouped pointwise; then added to the input, or, with stride 2, put beside
    the input's local mean.

    Args:
        make: the parts.
        inputs: channels of the input.
        channels: published number of channels of the output.
        stride: 1 or 2; the input of a unit with stride 1 has the channels of the output.
        groups: of the first convolution.
    """

    def __init__(self, make: Parts, inputs: widths.Axis, channels: int, stride: int, groups: int = GROUPS):
        middle = make.scaled(channels // 4)
        # Of those of the output, the input brings some.
        outputs = inputs if stride == 1 else make.scaled(channels).without(inputs, GROUPS)
        self.join = None if stride == 1 else make.concatenate(outputs, inputs)
        self.outputs = self.join.axis if self.join else outputs
        self.conv1 = make.conv_norm(inputs, middle, 1, groups=groups)
        self.shuffle = make.shuffle(middle, GROUPS)
        self.depthwise = make.depthwise_norm(middle, 3, stride)
        self.conv2 = make.conv_norm(middle, outputs, 1, groups=GROUPS)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        y = self.shuffle(relu(self.conv1(x, width)), width)
        y = self.conv2(self.depthwise(y, width), width)
        if self.join is None:
            return relu(add(x, y))
        return relu(self.join([y, mean_pool(x, 3, strides=2, padding=1)], width))


class ShuffleNetV1(AnyWidthClassifier):
    """Conv 3×3 / 2 – pool 3×3 / 2 – three stages of units – mean – dense; three groups.

    Each group has its share of the channels at every width: groups are dealt channel by channel (see `layers.GroupedConv`), and
    the shuffle moves channels among those that are born together (see `layers.ChannelShuffle`). Published networks give each
    group a run of channels; at a width of theirs, which channels share a group differs, and nothing else does.

    Args:
        image_size: height, width and planes of the images; at least 32 × 32.
        classes: number of classes.
        options: see `ShuffleNetV1Options`; single ones can be given by name, as `multiplier=0.5`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small, or `group` is not a multiple of three.

    Source: ShuffleNet (Zhang et al., 2018). The slimmable one (Yu et al., 2019) has 5,487,496 parameters, and at widths ¼, ½, 1
    of 224 × 224 images 38, 137 and 523 million multiply-accumulates and 57.2, 65.5 and 71.4 % top-1 accuracy on ImageNet.
    """

    Options = ShuffleNetV1Options

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: ShuffleNetV1Options | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or ShuffleNetV1Options(), named)
        make = Parts(
            options, family=family, implementation=implementation, rngs=rngs, rounding=truncated, together=GROUPS
        )
        check_image_size("ShuffleNetV1", image_size, 32)
        self.dropout = options.dropout
        axis = make.scaled(STEM)
        self.stem = make.conv_norm(widths.Axis.whole(image_size[-1]), axis, 3, 2)
        units: list[Unit] = []
        counts = options.counts([count for _, count in STAGES])
        for (channels, _), count in zip(STAGES, counts, strict=True):
            for number in range(count):
                # The stem's few channels are not grouped.
                units.append(Unit(make, axis, channels, 1 if number else 2, groups=GROUPS if units else 1))
                axis = units[-1].outputs
        self.units = nnx.List(units)
        self.head = make.head(axis, 1, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B C"]:
        x = max_pool(relu(self.stem(x, width)), 3, strides=2)
        for unit in self.units:
            x = unit(x, width)
        return global_mean(x)
