"""The classifier that answers at one width, or at all of them in one pass."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.sliced import check_channels


class AnyWidthHead(nnx.Module):
    """A dense layer from the active prefix of the features to all the class logits.

    With W_c the weights of channel c and f_c its pixels, logits(k) = b + Σ_{c<k} W_c · f_c: the answers of all widths are
    the partial sums of one product. The weights are channel-major, so that a narrow width reads a contiguous slice.

    Args:
        inputs: channels of the features, or their number.
        pixels: height × width of the features.
        classes: number of logits.
        dtype: of the weights.
        rngs: source of the initial weights (stream `params`); they are uniform in ±1/√(channels · pixels).

    Attributes:
        kernel: [C, pixels, classes].
        bias: [classes].
    """

    def __init__(
        self,
        inputs: int | widths.Axis,
        pixels: int,
        classes: int,
        *,
        dtype: jnp.dtype | type = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.inputs = widths.Axis.of(inputs)
        self.pixels, self.classes = pixels, classes
        bound = (self.inputs.channels * pixels) ** -0.5
        shape = (self.inputs.channels, pixels, classes)
        self.kernel = nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))
        self.bias = nnx.Param(jax.random.uniform(rngs.params(), (classes,), dtype, -bound, bound))

    def __call__(self, x: Float[Array, "B H W C"], width: widths.Width = 1) -> Float[Array, "B classes"]:
        """The logits at one width.

        Args:
            x: features with the channels that are active at `width`.
            width: α, in (0, 1]; static.

        Raises:
            ValueError: if `x` has other channels or pixels, or `width` is outside (0, 1].
        """
        features = self._pixels_first(x, width)
        return jnp.einsum("bpc,cpk->bk", features, self.kernel[: features.shape[-1]]) + self.bias

    def rows(self, x: Float[Array, "B H W C"], width: widths.Width, after: widths.Width) -> Float[Array, "B classes"]:
        """What the features that a width has and a narrower one, `after`, has not add to the logits of the narrower one.

        Args:
            x: those features alone.
            width: the wider one, static.
            after: the narrower one, static.
        """
        features = x.reshape(x.shape[0], self.pixels, x.shape[-1])
        new = slice(self.inputs.active(after), self.inputs.active(width))
        return jnp.einsum("bpc,cpk->bk", features, self.kernel[new])

    def at_widths(self, x: Float[Array, "B H W C"], at: Sequence[widths.Width]) -> Float[Array, "N B classes"]:
        """The logits at several widths, from the features of the widest.

        Each channel's part of the logits is computed once; parts are added up between one width and the next.

        Args:
            x: features with the channels that are active at the widest of `at`.
            at: N widths, ascending; static.

        Raises:
            ValueError: if `at` is empty or not ascending, or as for a call.
        """
        check_ascending(at)
        features = self._pixels_first(x, at[-1])
        active = [self.inputs.active(width) for width in at]
        steps = np.repeat(np.arange(len(at)), np.diff([0, *active]))
        parts = jnp.einsum("bpc,cpk->cbk", features, self.kernel[: active[-1]])
        return jnp.cumsum(jax.ops.segment_sum(parts, steps, len(at), indices_are_sorted=True), 0) + self.bias

    def _pixels_first(self, x: Array, width: widths.Width) -> Float[Array, "B P C"]:
        check_channels(self, x, self.inputs.active(width), width)
        if x.shape[1] * x.shape[2] != self.pixels:
            raise ValueError(
                f"AnyWidthHead: x must have {self.pixels} pixels, got shape {x.shape}; is the image size right?"
            )
        return x.reshape(x.shape[0], self.pixels, x.shape[-1])

    def cost(self, outputs_shape: tuple[int, ...], width: widths.Width) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one example) at a width."""
        weights = self.inputs.active(width) * self.pixels * self.classes
        return weights + self.classes, weights


def check_ascending(at: Sequence[widths.Width]) -> None:
    """Raises ValueError unless `at` holds ascending widths."""
    exact = [widths.exact_width(width) for width in at]
    if not exact or any(a >= b for a, b in itertools.pairwise(exact)):
        raise ValueError(f"widths must be ascending and not empty, got {tuple(at)}")
