"""The classifier that answers at one width, or at all of them in one pass.

Dimensions: B batch, H height, W width in pixels, C channels, P pixels, N widths.
"""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from awn_jax import widths
from awn_jax.layers.functional import per_channel, sum_type
from awn_jax.layers.op import Costs, Layer, Ordinary, check_channels


class AnyWidthHead(Layer):
    """A dense layer from the active prefix of the features to all the class logits.

    With W_c the weights of channel c and f_c its pixels, logits(k) = b + Σ_{c<k} W_c · f_c: the answers of all widths are
    the partial sums of one product. The weights are channel-major, so that a narrow width reads a contiguous slice.

    Args:
        inputs: channels of the features, or their number.
        pixels: height × width of the features; 1 for features without pixels.
        classes: number of logits.
        dtype: of the weights; the features are converted to it. Logits are float32, or wider where this is.
        rngs: source of the initial weights (stream `params`); they are uniform in ±1/√(channels · pixels).

    Attributes:
        kernel: [C, pixels, classes].
        bias: [classes].
    """

    adds_up = True

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

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B classes"]:
        features = self._pixels_first(x, width)
        return self._biased(self._summed(features, self.kernel[: features.shape[-1]]))

    def added(
        self, x: Float[Array, "B ... C"], *, width: widths.Width, after: widths.Width
    ) -> Float[Array, "B classes"]:
        new = slice(self.inputs.active(after), self.inputs.active(width))
        return self._summed(self._flat(x), self.kernel[new])

    def at_widths(self, x: Float[Array, "B ... C"], at: Sequence[widths.Width]) -> Float[Array, "N B classes"]:
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
        active = self.inputs.active_at(at).tolist()
        kernel = self.kernel[: active[-1]]
        if active[-1] * math.prod(features.shape[:1]) * self.classes > PARTS:
            # A product for each step from one width to the next: the parts of single channels would not fit.
            grown = itertools.pairwise([0, *active])
            parts = jnp.stack([self._summed(features[..., a:b], kernel[a:b]) for a, b in grown])
            return self._biased(jnp.cumsum(parts, 0))
        steps = np.repeat(np.arange(len(at)), np.diff([0, *active]))
        channels = jnp.einsum("bpc,cpk->cbk", features, kernel, preferred_element_type=sum_type(kernel.dtype))
        return self._biased(jnp.cumsum(jax.ops.segment_sum(channels, steps, len(at), indices_are_sorted=True), 0))

    def at_active(self, x: Float[Array, "B ... C"], active: Int[Array, " N"]) -> Float[Array, "N B classes"]:
        """The logits of the first few channels, for N such numbers that are data: one program for any widths.

        Args:
            x: features with all channels.
            active: how many channels take part.
        """
        features = self._pixels_first(x, 1)

        def answer(count: Int[Array, ""]) -> Array:
            there = jnp.arange(features.shape[-1]) < count
            kept = jnp.where(per_channel(there, features), features, 0)
            return self._biased(self._summed(kept, self.kernel[...]))

        # A loop in the program where there are many, so that neither it nor its memory grows with their number.
        few = active.shape[0] <= 8
        return jnp.stack([answer(count) for count in active]) if few else lax.map(answer, active)

    def _summed(
        self, features: Float[Array, "B P C"], kernel: Float[Array, "C P classes"]
    ) -> Float[Array, "B classes"]:
        return jnp.einsum("bpc,cpk->bk", features, kernel, preferred_element_type=sum_type(kernel.dtype))

    def _biased(self, logits: Array) -> Array:
        return logits + per_channel(self.bias[...], logits).astype(logits.dtype)

    def _pixels_first(self, x: Array, width: widths.AnyWidth) -> Float[Array, "B P C"]:
        check_channels(self, x, self.inputs.active(width), width)
        if math.prod(x.shape[1:-1]) != self.pixels:
            raise ValueError(
                f"AnyWidthHead: x must have {self.pixels} pixels, got shape {x.shape}; is the image size right?"
            )
        return self.inputs.kept(self._flat(x), width)

    def _flat(self, x: Array) -> Float[Array, "B P C"]:
        return x.reshape(x.shape[0], self.pixels, x.shape[-1]).astype(self.kernel.dtype)

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return widths.Axis.whole(self.classes)

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        weights = self.inputs.active_at(at) * self.pixels * self.classes
        return Costs(weights + self.classes, weights)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        kernel = np.asarray(self.kernel[...], np.float64)[: self.inputs.active(width)]
        return Ordinary("head", {"kernel": kernel, "bias": np.asarray(self.bias[...], np.float64)})


# Numbers; a quarter of a GiB in float32.
PARTS = 1 << 26


def check_ascending(at: Sequence[widths.Width]) -> None:
    """Raises ValueError unless `at` holds ascending widths."""
    exact = [widths.exact_width(width) for width in at]
    if not exact or any(a >= b for a, b in itertools.pairwise(exact)):
        raise ValueError(f"widths must be ascending and not empty, got {tuple(at)}")
