"""Last layers, which answer at one width, or at all of them in one pass.

Dimensions: B batch, C channels of the features, P pixels, K outputs, N widths.
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


class Head(Layer):
    """A last layer whose outputs at a width are a sum over the channels that are active there, and a bias.

    With W_c the weights of channel c and f_c its features, outputs(k) = b + Σ_{c<k} W_c · f_c: those of all widths are the
    partial sums of one product. A subclass sets the attributes, and says what the product is.

    Attributes:
        inputs: channels of the features.
        kernel: weights, of which the first axis is that of the channels; a narrow width reads a contiguous slice.
        bias: one number for each output.
    """

    adds_up = True
    inputs: widths.Axis
    kernel: nnx.Param
    bias: nnx.Param

    def summed(self, features: Float[Array, "B ... C"], kernel: Float[Array, "C ..."]) -> Float[Array, "B ... K"]:
        """The sum over some channels, without the bias."""
        raise NotImplementedError

    def prepared(self, x: Float[Array, "B ... C"]) -> Float[Array, "B ... C"]:
        """Features as `summed` takes them; converted to the type of the weights."""
        return x.astype(self.kernel.dtype)

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... K"]:
        features = self.checked(x, width)
        return self.biased(self.summed(features, self.kernel[: features.shape[-1]]))

    def added(self, x: Float[Array, "B ... C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B ... K"]:
        new = slice(self.inputs.active(after), self.inputs.active(width))
        return self.summed(self.prepared(x), self.kernel[new])

    def at_widths(self, x: Float[Array, "B ... C"], at: Sequence[widths.Width]) -> Float[Array, "N B ... K"]:
        """The outputs at several widths, from the features of the widest: a product for each step from one width to the next,
        added up.

        Args:
            x: features with the channels that are active at the widest of `at`.
            at: N widths, ascending; static.

        Raises:
            ValueError: if `at` is empty or not ascending, or as for a call.
        """
        check_ascending(at)
        features = self.checked(x, at[-1])
        grown = itertools.pairwise([0, *self.inputs.active_at(at).tolist()])
        parts = jnp.stack([self.summed(features[..., a:b], self.kernel[a:b]) for a, b in grown])
        return self.biased(jnp.cumsum(parts, 0))

    def at_active(self, x: Float[Array, "B ... C"], active: Int[Array, " N"]) -> Float[Array, "N B ... K"]:
        """The outputs of the first few channels, for N such numbers that are data: one program for any widths.

        Args:
            x: features with all channels.
            active: how many channels take part.
        """
        features = self.checked(x, 1)

        def answer(count: Int[Array, ""]) -> Array:
            there = jnp.arange(features.shape[-1]) < count
            kept = jnp.where(per_channel(there, features), features, 0)
            return self.biased(self.summed(kept, self.kernel[...]))

        # A loop in the program where there are many, so that neither it nor its memory grows with their number.
        few = active.shape[0] <= 8
        return jnp.stack([answer(count) for count in active]) if few else lax.map(answer, active)

    def biased(self, outputs: Array) -> Array:
        """Outputs with the bias."""
        return outputs + per_channel(self.bias[...], outputs).astype(outputs.dtype)

    def checked(self, x: Array, width: widths.AnyWidth) -> Float[Array, "B ... C"]:
        """Features as `summed` takes them, which have the channels that are active at a width.

        Raises:
            ValueError: if they have others.
        """
        check_channels(self, x, self.inputs.active(width), width)
        return self.inputs.kept(self.prepared(x), width)

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return widths.Axis.whole(self.bias.shape[0])


class AnyWidthHead(Head):
    """A dense layer from the active prefix of the features, of all their pixels, to all the class logits.

    The weights are channel-major, so that a narrow width reads a contiguous slice.

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

    def at_widths(self, x: Float[Array, "B ... C"], at: Sequence[widths.Width]) -> Float[Array, "N B classes"]:
        """See `Head.at_widths`; each channel's part of the logits is computed once, where those fit into memory."""
        check_ascending(at)
        active = self.inputs.active_at(at).tolist()
        if active[-1] * x.shape[0] * self.classes > PARTS:
            return super().at_widths(x, at)
        features = self.checked(x, at[-1])
        kernel = self.kernel[: active[-1]]
        steps = np.repeat(np.arange(len(at)), np.diff([0, *active]))
        channels = jnp.einsum("bpc,cpk->cbk", features, kernel, preferred_element_type=sum_type(kernel.dtype))
        return self.biased(jnp.cumsum(jax.ops.segment_sum(channels, steps, len(at), indices_are_sorted=True), 0))

    def summed(self, features: Float[Array, "B P C"], kernel: Float[Array, "C P classes"]) -> Float[Array, "B classes"]:
        return jnp.einsum("bpc,cpk->bk", features, kernel, preferred_element_type=sum_type(kernel.dtype))

    def prepared(self, x: Float[Array, "B ... C"]) -> Float[Array, "B P C"]:
        return super().prepared(x).reshape(x.shape[0], self.pixels, x.shape[-1])

    def checked(self, x: Array, width: widths.AnyWidth) -> Float[Array, "B P C"]:
        if math.prod(x.shape[1:-1]) != self.pixels:
            raise ValueError(
                f"AnyWidthHead: x must have {self.pixels} pixels, got shape {x.shape}; is the image size right?"
            )
        return super().checked(x, width)

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        weights = self.inputs.active_at(at) * self.pixels * self.classes
        return Costs(weights + self.classes, weights)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        kernel = np.asarray(self.kernel[...], np.float64)[: self.inputs.active(width)]
        return Ordinary("head", {"kernel": kernel, "bias": np.asarray(self.bias[...], np.float64)})


class PixelHead(Head):
    """A dense layer from the active prefix of each pixel's features to that pixel's outputs: the last layer of a network that
    answers for every pixel.

    Args:
        inputs: channels of the features, or their number.
        outputs: numbers that a pixel gets.
        dtype: of the weights; the features are converted to it. Outputs are float32, or wider where this is.
        rngs: source of the initial weights (stream `params`); they are uniform in ±1/√channels, and biases 0.

    Attributes:
        kernel: [C, outputs].
        bias: [outputs].
    """

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int,
        *,
        dtype: jnp.dtype | type = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.inputs = widths.Axis.of(inputs)
        bound = self.inputs.channels**-0.5
        shape = (self.inputs.channels, outputs)
        self.kernel = nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))
        self.bias = nnx.Param(jnp.zeros(outputs, dtype))

    def at_widths(self, x: Float[Array, "B ... C"], at: Sequence[widths.Width]) -> Float[Array, "N B ... K"]:
        """See `Head.at_widths`; one product gives them all, with weights that are zero where a channel is not there yet."""
        check_ascending(at)
        return self._masked(self.checked(x, at[-1]), jnp.asarray(self.inputs.active_at(at)))

    def at_active(self, x: Float[Array, "B ... C"], active: Int[Array, " N"]) -> Float[Array, "N B ... K"]:
        return self._masked(self.checked(x, 1), active)

    def _masked(self, features: Float[Array, "B ... C"], active: Int[Array, " N"]) -> Float[Array, "N B ... K"]:
        kernel = self.kernel[: features.shape[-1]]
        there = jnp.arange(len(kernel), dtype=active.dtype)[:, None] < active[None]
        every = jnp.where(there[:, :, None], kernel[:, None], 0).reshape(len(kernel), -1)
        # Pixels last: what follows acts on every output by itself, and runs along them.
        found = jnp.einsum("...c,cm->m...", features, every, preferred_element_type=sum_type(kernel.dtype))
        return self.biased(jnp.moveaxis(found.reshape(len(active), -1, *found.shape[1:]), 1, -1))

    def summed(self, features: Float[Array, "B ... C"], kernel: Float[Array, "C K"]) -> Float[Array, "B ... K"]:
        return jnp.matmul(features, kernel, preferred_element_type=sum_type(kernel.dtype))

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        weights = self.inputs.active_at(at) * self.kernel.shape[-1]
        return Costs(weights + self.kernel.shape[-1], weights * math.prod(shape[:-1]))

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        kernel = np.asarray(self.kernel[...], np.float64)[: self.inputs.active(width)]
        return Ordinary("dense", {"kernel": kernel, "bias": np.asarray(self.bias[...], np.float64)})


# Numbers; a quarter of a GiB in float32.
PARTS = 1 << 26


def check_ascending(at: Sequence[widths.Width]) -> None:
    """Raises ValueError unless `at` holds ascending widths."""
    exact = [widths.exact_width(width) for width in at]
    if not exact or any(a >= b for a, b in itertools.pairwise(exact)):
        raise ValueError(f"widths must be ascending and not empty, got {tuple(at)}")
