"""What a network of branches needs besides triangular layers: convolutions within each branch, a classifier for each number of
branches.

Dimensions: B batch, H height, W width in pixels, C input channels, K output channels, N widths.
"""

import bisect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from awn_jax import widths
from awn_jax.layers.conv import Conv, TriConv
from awn_jax.layers.head import AnyWidthHead
from awn_jax.layers.op import Costs, Layer, Ordinary, check_channels


class BranchedConv(Layer):
    """A convolution in groups, each of the channels that are born together: a branch reads its own channels alone.

    Args:
        inputs: input axis.
        outputs: output axis, of the same moments of birth.
        kernel_size: rows and columns, or one number for both.
        conv: makes the convolution of a branch.
        options: of the convolutions, see `Conv`.

    Attributes:
        convs: one for each branch.

    Raises:
        ValueError: if the axes are not born at the same moments.

    Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin, 2018), after ResNeXt (Xie et al., 2017).
    """

    keeps_prefix: ClassVar[bool] = True

    def __init__(
        self,
        inputs: widths.Axis,
        outputs: widths.Axis,
        kernel_size: int | tuple[int, int],
        *,
        conv: Callable[..., Conv] = TriConv,
        **options: Any,
    ):
        moments, reads = np.unique(inputs.births, return_counts=True)
        others, writes = np.unique(outputs.births, return_counts=True)
        if inputs.denominator != outputs.denominator or not np.array_equal(moments, others):
            raise ValueError(
                f"inputs and outputs must be born at the same moments, got {len(moments)} and {len(others)} moments"
            )
        # Tuples, because a module's plain attributes must be hashable.
        self._reads, self._writes = tuple(reads.tolist()), tuple(writes.tolist())
        self.inputs, self.outputs = inputs, outputs
        whole = widths.Axis.whole
        sizes = zip(self._reads, self._writes, strict=True)
        self.convs = nnx.List([conv(whole(reads), whole(writes), kernel_size, **options) for reads, writes in sizes])

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        check_channels(self, x, self.inputs.active(width), width)
        return self._from(0, x)

    def added(self, x: Float[Array, "B H W C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B h w K"]:
        return self._from(int(self._branches([after])[0]), x)

    def _from(self, first: int, x: Array) -> Array:
        """The branches from one on, as many as the channels of `x` are of."""
        parts, start = [], 0
        for reads, conv in list(zip(self._reads, self.convs, strict=True))[first:]:
            if start < x.shape[-1]:
                parts.append(conv.apply(x[..., start : start + reads]))
                start += reads
        return jnp.concatenate(parts, -1)

    def _branches(self, at: Sequence[widths.Width]) -> Int[np.ndarray, " N"]:
        return np.cumsum(self._reads).searchsorted(self.inputs.active_at(at)) + 1

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.outputs

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        parts = [conv.costs(shape, [1]) for conv in self.convs]
        there = self._branches(at)
        params, macs = (np.cumsum([0, *(int(part[i][0]) for part in parts)])[there] for i in (0, 1))
        return Costs(params, macs)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        # A dense kernel with zeros between branches, which may differ in size.
        count = int(self._branches([width])[0])
        parts = [conv.ordinary(1, *shapes) for conv in list(self.convs)[:count]]
        rows, columns = (np.cumsum([0, *sizes[:count]]) for sizes in (self._reads, self._writes))
        kernel = np.zeros((*parts[0].arrays["kernel"].shape[:2], rows[-1], columns[-1]))
        for number, part in enumerate(parts):
            here = slice(*rows[number : number + 2]), slice(*columns[number : number + 2])
            kernel[:, :, *here] = part.arrays["kernel"]
        bias = np.concatenate([part.arrays["bias"] for part in parts])
        return Ordinary("conv", {"kernel": kernel, "bias": bias}, parts[0].settings)


class PrivateHead(Layer):
    """A private classifier for each trained width.

    Args:
        inputs: channels of the features.
        pixels: of the features.
        classes: number of logits.
        until: for each trained width, ascending, the largest one that its classifier serves; the last is 1.
        options: of the classifiers, see `AnyWidthHead`.

    Attributes:
        heads: a classifier for each trained width, ascending.

    Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin, 2018).
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(self, inputs: widths.Axis, pixels: int, classes: int, until: Sequence[widths.Width], **options: Any):
        self.inputs, self.until = inputs, tuple(widths.exact_width(width) for width in until)
        self.heads = nnx.List([AnyWidthHead(inputs, pixels, classes, **options) for _ in self.until])

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B classes"]:
        return self.at(width).apply(x, width=width)

    def at(self, width: widths.AnyWidth) -> AnyWidthHead:
        """The classifier that serves a width.

        Raises:
            TypeError: if the width is data: which classifier serves it must be known when the program is made.
        """
        if isinstance(width, widths.Drawn):
            raise TypeError("PrivateHead runs at widths that are known beforehand, not at random ones")
        return self.heads[bisect.bisect_left(self.until, widths.exact_width(width))]

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.heads[0].births(*inputs)

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        return self.heads[0].costs(shape, at)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return self.at(width).ordinary(width, *shapes)
