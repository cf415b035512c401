"""Putting channels side by side in the order of their births, so that those of a narrow network still come first.

Dimensions: B batch, C channels; between them pixels, if there are any.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from awn_jax import widths
from awn_jax.layers.op import Layer, Ordinary, check_channels, run


class Concatenate(Layer):
    """A concatenation whose channels are sorted by birth: of skip connections, dense blocks, branches.

    Args:
        axes: of the values, or their numbers of channels.

    Attributes:
        axis: of the result; give it to the layer that reads it.

    Raises:
        ValueError: if there are fewer than two.

    Example:
        >>> join = Concatenate([Axis.of(4), Axis.of(8)])
        >>> join([jnp.ones((1, 5, 5, 2)), jnp.ones((1, 5, 5, 4))], width=0.5).shape
        (1, 5, 5, 6)
    """

    def __init__(self, axes: Sequence[int | widths.Axis]):
        self.inputs = tuple(widths.Axis.of(axis) for axis in axes)
        if len(self.inputs) < 2:
            raise ValueError(f"axes must be two or more, got {len(self.inputs)}")
        self.axis, order = widths.merged(self.inputs)
        starts = np.cumsum([0, *(axis.channels for axis in self.inputs)])
        source = np.searchsorted(starts, order, side="right") - 1
        # Tuples, because a module's plain attributes must be hashable.
        self._source = tuple(source.tolist())
        self._channel = tuple((order - starts[source]).tolist())

    def __call__(
        self, inputs: Sequence[Float[Array, "B ... _"]], width: widths.AnyWidth = 1
    ) -> Float[Array, "B ... K"]:
        """The channels of all values that are active at a width, sorted by birth.

        Args:
            inputs: one value for each axis.
            width: α, in (0, 1]; static.

        Raises:
            ValueError: if their number, or one's channels, are not those of the axes.
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"Concatenate: inputs must be {len(self.inputs)} values, got {len(inputs)}")
        return run(self, tuple(inputs), width)

    def apply(self, *inputs: Float[Array, "B ... _"], width: widths.AnyWidth = 1) -> Float[Array, "B ... K"]:
        for axis, x in zip(self.inputs, inputs, strict=True):
            check_channels(self, x, axis.active(width), width)
        return permuted(jnp.concatenate(inputs, -1), self.order(width))

    def added(
        self, *inputs: Float[Array, "B ... _"], width: widths.Width, after: widths.Width
    ) -> Float[Array, "B ... K"]:
        return permuted(jnp.concatenate(inputs, -1), self.order(width, after))

    def order(self, width: widths.AnyWidth, after: widths.Width | None = None) -> Int[np.ndarray, " K"]:
        """Where each channel of the result stands in the plain concatenation at a width; of the channels born `after` a
        narrower one alone, if given."""
        old = [0 if after is None else axis.active(after) for axis in self.inputs]
        starts = np.cumsum([0, *(axis.active(width) - n for axis, n in zip(self.inputs, old, strict=True))])
        new = slice(0 if after is None else self.axis.active(after), self.axis.active(width))
        source, channel = np.asarray(self._source[new], np.int64), np.asarray(self._channel[new], np.int64)
        return starts[source] + channel - np.asarray(old)[source]

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.axis

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("concat", settings={"order": self.order(width).tolist()})


def permuted(x: Float[Array, "B ... C"], order: Int[np.ndarray, " C"]) -> Float[Array, "B ... C"]:
    """The channels of `x` in another order, which is static; its gradient is a permutation too."""
    return _permuted(x, tuple(order.tolist()))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _permuted(x: Array, order: tuple[int, ...]) -> Array:
    if order == tuple(range(len(order))):
        return x
    return jnp.take(x, np.asarray(order), -1, unique_indices=True, mode="clip")


def _permuted_back(order: tuple[int, ...], _: None, dy: Array) -> tuple[Array]:
    # Otherwise the gradient of `take`, which adds up, would be slow, and on some platforms not the same twice.
    return (_permuted(dy, tuple(np.argsort(order).tolist())),)


_permuted.defvjp(lambda x, order: (_permuted(x, order), None), _permuted_back)
