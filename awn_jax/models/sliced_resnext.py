"""A residual network of branches that is sliced vertically: a narrow network has the first few branches of each block."""

import dataclasses
from typing import Any, Literal

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import (
    Layer,
    Norm,
    PrivateHead,
    SwitchableBatchNorm,
    add,
    global_mean,
    mean_pool,
    relu,
)
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import StagedOptions, changed
from awn_jax.models.parts import Parts, check_image_size

# Blocks of each stage; trunk and bottlenecks have twice the channels in each further stage.
BLOCKS = (7, 7, 7)


@dataclasses.dataclass(frozen=True)
class SlicedResNeXtOptions(StagedOptions):
    """Those of every model with stages, and

    Attributes:
        form: `sparse`, in which a branch reads branches before it and itself, so that sub-networks share what they compute; or
            `branches`, in which all branches add to one trunk that every branch reads, so that sub-networks do not.
        branches: how many there are; width k / branches has the first k.
        trunk: channels of the trunk in the first stage.
        bottleneck: channels of one branch in the first stage.
    """

    form: Literal["sparse", "branches"] = "sparse"
    branches: int = 8
    trunk: int = 64
    bottleneck: int = 4

    def __post_init__(self):
        super().__post_init__()
        for name in ("branches", "trunk", "bottleneck"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.grid not in (0, self.branches):
            raise ValueError(f"grid must be 0 or branches={self.branches}, one birth a branch, got {self.grid}")


class Sparse:
    """Axes and layers of the sparse form: those of any network here, with one birth for each branch."""

    def __init__(self, make: Parts):
        self.make = make

    def norm(self, axis: widths.Axis) -> Norm:
        return self.make.norm(axis)

    def trunk(self, channels: int) -> widths.Axis:
        return self.make.scaled(channels)

    def middle(self, axis: widths.Axis) -> Layer:
        """The 3×3 convolution between two bottlenecks."""
        return self.make.conv(axis, axis, 3, padding=1)

    def head(self, axis: widths.Axis, classes: int) -> Layer:
        return self.make.head(axis, 1, classes)


class Branches(Sparse):
    """Those of the multi-branch form: a trunk that is there at every width, and norms and a classifier for each number of
    branches."""

    def trunk(self, channels: int) -> widths.Axis:
        return widths.Axis.whole(self.make.channels(channels))

    def middle(self, axis: widths.Axis) -> Layer:
        return self.make.branched(axis, axis, 3, padding=1)

    def head(self, axis: widths.Axis, classes: int) -> Layer:
        family = self.make.family
        return PrivateHead(axis, 1, classes, family.until or family.trained, dtype=self.make.dtype, rngs=self.make.rngs)

    def norm(self, axis: widths.Axis) -> Norm:
        # Of the trunk too: its sums differ from one number of branches to the next.
        return SwitchableBatchNorm(axis, self.make.family.trained, self.make.family.until, dtype=self.make.dtype)


class Block(nnx.Module):
    """Norm – ReLU – 1×1 to the bottlenecks of all branches – norm – ReLU – 3×3 – norm – ReLU – 1×1 back, added to the trunk."""

    def __init__(self, form: Sparse, trunk: widths.Axis, middle: widths.Axis):
        make = form.make
        self.norm1, self.conv1 = form.norm(trunk), make.conv(trunk, middle, 1)
        self.norm2, self.conv2 = form.norm(middle), form.middle(middle)
        self.norm3, self.conv3 = form.norm(middle), make.conv(middle, trunk, 1)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B H W C"]:
        y = self.conv1(relu(self.norm1(x, width)), width)
        y = self.conv2(relu(self.norm2(y, width)), width)
        return add(x, self.conv3(relu(self.norm3(y, width)), width))


class Transition(nnx.Module):
    """Half the pixels and twice the channels, without weights: local means, and channels of zeros beside them."""

    def __init__(self, make: Parts, trunk: widths.Axis):
        self.join = make.concatenate(trunk, trunk)

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        # Means last: XLA would compute them again in everything that reads a concatenation of them.
        return mean_pool(self.join([x, 0 * x], width), 2)


class SlicedResNeXt(AnyWidthClassifier):
    """Conv 3×3 – three stages of pre-activation blocks, between them transitions – norm – ReLU – mean – dense.

    The sparse form is this library's usual network: channels are born at `branches` moments, so that one pass trains all
    sub-networks and a wider one grows out of a narrower one. The multi-branch form is the published one; its sub-networks have
    private norms and classifiers, and are trained by a pass for each.

    Args:
        image_size: height, width and planes of the images; at least 8 × 8.
        classes: number of classes.
        options: see `SlicedResNeXtOptions`; single ones can be given by name, as `branches=4`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small, a stage has fewer channels than branches, or the multi-branch form is of
            another family than `s_net` and `single`.

    Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin, 2018): 8 branches of bottleneck 4, 8, 16,
    a trunk of 64, 128, 256 channels, 7 blocks in each stage.
    """

    Options = SlicedResNeXtOptions

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: SlicedResNeXtOptions | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or SlicedResNeXtOptions(), named)
        options = dataclasses.replace(options, grid=options.branches)
        check_image_size("SlicedResNeXt", image_size, 8)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs)
        if options.form == "branches" and make.family.name not in ("s_net", "single"):
            raise ValueError(f"family must be 's_net' or 'single' for form 'branches', got {make.family.name!r}")
        form = (Sparse if options.form == "sparse" else Branches)(make)
        self.dropout = options.dropout
        trunk = form.trunk(options.trunk)
        self.stem = make.conv(widths.Axis.whole(image_size[-1]), trunk, 3, padding=1)
        layers: list[Block | Transition] = []
        for stage, count in enumerate(options.counts(BLOCKS)):
            if stage:
                transition = Transition(make, trunk)
                layers.append(transition)
                trunk = transition.join.axis
            middle = make.scaled(options.branches * options.bottleneck << stage)
            for axis in (middle, *([trunk] if options.form == "sparse" else [])):
                if axis.channels < options.branches:
                    raise ValueError(
                        f"branches must be at most {axis.channels}, the channels of a stage, got {options.branches}"
                    )
            layers.extend(Block(form, trunk, middle) for _ in range(count))
        self.layers = nnx.List(layers)
        self.norm = form.norm(trunk)
        self.head = form.head(trunk, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B C"]:
        x = self.stem(x, width)
        for layer in self.layers:
            x = layer(x, width)
        return global_mean(relu(self.norm(x, width)))
