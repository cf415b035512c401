"""Batch norm with one set of statistics for every width.

Dimensions: B batch, H height, W width in pixels, C channels. Features without pixels, [B, C], are normalised as well.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import functional
from awn_jax.layers.op import Costs, Layer, Ordinary, check_channels


class Norm(Layer):
    """What batch norms have in common: at inference, a scale and a shift of every channel.

    Attributes:
        axis: the channels.
        epsilon: added to the variance.
    """

    axis: widths.Axis
    epsilon: float

    def at_inference(
        self, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, Array, Array]:
        """Running mean and variance, scale and bias of the channels at a width; of those born `after` one, if given."""
        raise NotImplementedError

    def calibrate(self, width: widths.Width, mean: Float[Array, " C"], var: Float[Array, " C"]) -> None:
        """Sets the statistics of the channels at a width."""
        raise NotImplementedError

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.axis

    def added(self, x: Float[Array, "B ... C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B ... C"]:
        return functional.normalise(x, *self.at_inference(width, after), self.epsilon)

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        """A scale and a bias a channel; no operations, since it folds into the convolution in front of it."""
        active = self.axis.active_at(at)
        return Costs(2 * active, 0 * active)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        mean, var, scale, bias = (np.asarray(values, np.float64) for values in self.at_inference(width))
        factor = scale / np.sqrt(var + self.epsilon)
        return Ordinary("affine", {"scale": factor, "bias": bias - mean * factor})


class BatchNorm(Norm):
    """Batch norm shared by all widths.

    Below a triangular layer, a channel has the same values at every width that includes it, and so one mean, one variance,
    one scale and one bias serve them all, without calibration. `model.train()` and `model.eval()` choose between the
    batch's statistics and the running ones. Training at a narrow width moves the running statistics of its channels alone.

    Args:
        axis: channels, or their number.
        momentum: share of the newest batch in the running statistics (PyTorch's convention).
        epsilon: added to the variance.
        dtype: of scale and bias; statistics are float32, or wider where this is.
        rngs: not used; accepted so that layers are made alike.

    Attributes:
        scale, bias: [C] parameters.
        mean, var: [C] running statistics; the variance is the unbiased one.

    Source: Any-Width Networks (Vu et al., 2020); momentum 0.1 and epsilon 1e-5 are its code's.
    """

    def __init__(
        self,
        axis: int | widths.Axis,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | type = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        self.axis = widths.Axis.of(axis)
        self.momentum, self.epsilon = momentum, epsilon
        self.use_running_average = False
        self.scale = nnx.Param(jnp.ones(self.axis.channels, dtype))
        self.bias = nnx.Param(jnp.zeros(self.axis.channels, dtype))
        self.mean = nnx.BatchStat(jnp.zeros(self.axis.channels, functional.sum_type(dtype)))
        self.var = nnx.BatchStat(jnp.ones(self.axis.channels, functional.sum_type(dtype)))

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        active = self.axis.active(width)
        check_channels(self, x, active, width)
        if self.use_running_average:
            return functional.normalise(x, *self.at_inference(width), self.epsilon)
        scale, bias = self.scale[:active], self.bias[:active]
        y, mean, var = functional.normalise_by_batch(x, scale, bias, self.epsilon)
        count = x.size // active
        self._follow(self.mean, mean, width)
        self._follow(self.var, var * (count / max(count - 1, 1)), width)
        return y

    def at_inference(
        self, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, Array, Array]:
        channels = slice(0 if after is None else self.axis.active(after), self.axis.active(width))
        return self.mean[channels], self.var[channels], self.scale[channels], self.bias[channels]

    def calibrate(self, width: widths.Width, mean: Float[Array, " C"], var: Float[Array, " C"]) -> None:
        self.mean[...] = self.mean[...].at[: mean.size].set(mean.astype(self.mean.dtype))
        self.var[...] = self.var[...].at[: var.size].set(var.astype(self.var.dtype))

    def _follow(self, running: nnx.BatchStat, newest: Float[Array, " C"], width: widths.AnyWidth) -> None:
        old = running[...]
        new = old[: newest.size] + self.momentum * (newest - old[: newest.size])
        if isinstance(width, widths.Drawn):
            new = jnp.where(self.axis.born(width), new, old[: newest.size])
        running[...] = jnp.concatenate([new.astype(old.dtype), old[newest.size :]])
