"""What networks for several purposes begin with: a classifier puts a mean and a head behind it, a pyramid reads all its sizes.

Dimensions: B batch, H height, W width, P planes, h and w pixels and C channels of the features.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence

from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths


class Backbone(nnx.Module):
    """Layers that make an image smaller and smaller.

    Attributes:
        strides: ascending; at each, the rows and columns of the image that one pixel of the features stands for.
        level_axes: of the channels at each of these strides.
    """

    strides: tuple[int, ...]
    level_axes: tuple[widths.Axis, ...]

    @abc.abstractmethod
    def begin(self, x: Float[Array, "B H W P"], width: widths.AnyWidth) -> Float[Array, "B h w C"]:
        """What the first block reads."""

    def put(self, blocks: Sequence[nnx.Module], ends: Mapping[int, tuple[widths.Axis, int]]) -> None:
        """Takes the blocks.

        Args:
            blocks: one after the other.
            ends: at each stride, ascending, the axis of what is found there last, and behind how many blocks.
        """
        self.blocks = nnx.List(blocks)
        self.strides = tuple(ends)
        self.level_axes, self._ends = zip(*ends.values(), strict=True)

    def levels(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> list[Float[Array, "B h w C"]]:
        """The last features of each stride, with the channels that are active at `width`."""
        return list(self.each_level(x, width))

    def each_level(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Iterator[Float[Array, "B h w C"]]:
        """One level after the other; of those not asked for, nothing is computed."""
        x = self.begin(x, width)
        if 0 in self._ends:
            yield x
        for number, block in enumerate(self.blocks, 1):
            x = block(x, width)
            if number in self._ends:
                yield x
