"""What networks for several purposes begin with: a classifier puts a mean and a head behind it, a pyramid reads all its sizes.

Dimensions: B batch, H height, W width, P planes, h and w pixels and C channels of the features.
"""

import abc

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
    def levels(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> list[Float[Array, "B h w C"]]:
        """The last features of each stride, with the channels that are active at `width`."""
