"""Batch norm with one set of statistics for every width."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import functional
from awn_jax.layers.sliced import check_channels


class BatchNorm(nnx.Module):
    """Batch norm shared by all widths.

    Below a triangular layer, a channel has the same values at every width that includes it, and so one mean, one variance,
    one scale and one bias serve them all, without calibration. `model.train()` and `model.eval()` choose between the
    batch's statistics and the running ones. Training at a narrow width moves the running statistics of its channels alone.

    Args:
        axis: channels, or their number.
        momentum: share of the newest batch in the running statistics (PyTorch's convention).
        epsilon: added to the variance.
        dtype: of scale and bias.
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
        self.mean = nnx.BatchStat(jnp.zeros(self.axis.channels, dtype))
        self.var = nnx.BatchStat(jnp.ones(self.axis.channels, dtype))

    def __call__(self, x: Float[Array, "B H W C"], width: widths.Width = 1) -> Float[Array, "B H W C"]:
        """Normalises each channel.

        Args:
            x: features with the channels that are active at `width`.
            width: α, in (0, 1]; static.

        Raises:
            ValueError: if `x` has another number of channels, or `width` is outside (0, 1].
        """
        active = self.axis.active(width)
        check_channels(self, x, active, width)
        if self.use_running_average:
            return functional.normalise(x, *self.at_inference(width), self.epsilon)
        scale, bias = self.scale[:active], self.bias[:active]
        y, mean, var = functional.normalise_by_batch(x, scale, bias, self.epsilon)
        count = x.size // active
        self._follow(self.mean, mean)
        self._follow(self.var, var * (count / max(count - 1, 1)))
        return y

    def rows(self, x: Float[Array, "B H W C"], width: widths.Width, after: widths.Width) -> Float[Array, "B H W C"]:
        """Normalises, with the running statistics, the channels that a width has and a narrower one, `after`, has not.

        Args:
            x: those channels alone.
            width: the wider one, static.
            after: the narrower one, static.
        """
        return functional.normalise(x, *self.at_inference(width, after), self.epsilon)

    def at_inference(self, width: widths.Width, after: widths.Width | None = None) -> tuple[Array, Array, Array, Array]:
        """Running mean and variance, scale and bias of the channels at a width; of those born `after` one, if given."""
        channels = slice(0 if after is None else self.axis.active(after), self.axis.active(width))
        return self.mean[channels], self.var[channels], self.scale[channels], self.bias[channels]

    def _follow(self, running: nnx.BatchStat, newest: Float[Array, " C"]) -> None:
        old = running[...]
        new = old[: newest.size] + self.momentum * (newest - old[: newest.size])
        running[...] = jnp.concatenate([new.astype(old.dtype), old[newest.size :]])

    def cost(self, outputs_shape: tuple[int, ...], width: widths.Width) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one example): a scale and a bias a channel; folded into the convolution
        in front of it at inference, so no operations."""
        return 2 * self.axis.active(width), 0
