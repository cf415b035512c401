"""Batch norms of the rival networks, whose ordinary convolutions give other values at every width.

Dimensions: B batch, C channels, N calibrated widths.
"""

import bisect
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import functional
from awn_jax.layers.norm import BatchNorm, Norm
from awn_jax.layers.op import check_channels


class SwitchableBatchNorm(Norm):
    """A private batch norm (scale, bias and statistics) for each trained width.

    At a width in between, the one of the next larger trained width is used, sliced.

    Args:
        axis: channels, or their number.
        at: trained widths; the widest must be 1.
        until: for each of `at`, ascending, the largest width that gives the same sub-network, see `widths.last_of`; of this
            axis alone if None, as far as the next of `at` is not reached.
        momentum, epsilon, dtype: of each, see `BatchNorm`.

    Attributes:
        norms: a batch norm for each trained width, ascending.
        until: the largest width that each serves.

    Raises:
        ValueError: if there is no batch norm for width 1, or `until` is not one ascending width for each.

    Source: Slimmable Neural Networks (Yu et al., 2019); the rule in between is that of Any-Width Networks (Vu et al., 2020).
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(
        self,
        axis: int | widths.Axis,
        at: Sequence[widths.Width],
        until: Sequence[widths.Width] | None = None,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.axis, self.epsilon = widths.Axis.of(axis), epsilon
        trained = sorted(widths.exact_width(width) for width in at)
        if not trained or trained[-1] != 1:
            raise ValueError(f"at must hold width 1, or it has no batch norm, got {tuple(at)}")
        if until is None:
            # Two trained widths may have the same channels here, and others elsewhere in the network.
            last = widths.last_of([self.axis], trained)
            until = [u if u < b else a for a, u, b in zip(trained, last, [*trained[1:], Fraction(2)], strict=True)]
        self.until = tuple(widths.exact_width(width) for width in until)
        if len(self.until) != len(trained) or list(self.until) != sorted(set(self.until)):
            raise ValueError(f"until must hold an ascending width for each of {tuple(at)}, got {tuple(until)}")
        private = [self.axis.prefix(width) for width in trained]
        self.norms = nnx.List([BatchNorm(a, momentum=momentum, epsilon=epsilon, dtype=dtype) for a in private])

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        check_channels(self, x, self.axis.active(width), width)
        return self.norms[self.position(width)].apply(x, width=width)

    def position(self, width: widths.AnyWidth) -> int:
        """Which of `norms` serves a width: that of the next larger trained one, or of one with the same sub-network.

        Raises:
            TypeError: if the width is data: which private norm serves it must be known when the program is made.
        """
        if isinstance(width, widths.Drawn):
            raise TypeError("SwitchableBatchNorm runs at widths that are known beforehand, not at random ones")
        return bisect.bisect_left(self.until, widths.exact_width(width))

    def at_inference(
        self, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, Array, Array]:
        return self.norms[self.position(width)].at_inference(width, after)

    def calibrate(self, width: widths.Width, mean: Float[Array, " C"], var: Float[Array, " C"]) -> None:
        self.norms[self.position(width)].calibrate(width, mean, var)


class CalibratedBatchNorm(Norm):
    """Batch norm with one scale and one bias for all widths, and statistics for each of N calibrated widths.

    While training, the batch's own statistics serve. `training.calibration` then sets those of the N widths; at a width in
    between, those of the next larger one are used, sliced.

    Args:
        axis: channels, or their number.
        until: for each calibrated width, ascending, the largest width that gives the same sub-network, see
            `widths.last_of`; the last must be 1.
        epsilon: added to the variance.
        dtype: of scale and bias; statistics are float32, or wider where this is.

    Attributes:
        scale, bias: [C] parameters.
        mean, var: [N, C] statistics; the variance is the biased one, of all the images calibrated with.
        known: [N], which widths have statistics.

    Raises:
        ValueError: if `until` does not ascend to 1.

    Source: Universally Slimmable Networks (Yu & Huang, 2019).
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(
        self,
        axis: int | widths.Axis,
        until: Sequence[widths.Width] = (1,),
        *,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.axis, self.epsilon, self.use_running_average = widths.Axis.of(axis), epsilon, False
        self.scale = nnx.Param(jnp.ones(self.axis.channels, dtype))
        self.bias = nnx.Param(jnp.zeros(self.axis.channels, dtype))
        self.mean, self.var, self.known = (nnx.BatchStat(jnp.zeros(())) for _ in range(3))
        self.forget(until)

    def forget(self, until: Sequence[widths.Width]) -> None:
        """Makes room for the statistics of other widths; arguments and errors as when it is made."""
        exact = tuple(widths.exact_width(width) for width in until)
        if not exact or exact[-1] != 1 or list(exact) != sorted(set(exact)):
            raise ValueError(f"until must hold ascending widths up to 1, got {tuple(until)}")
        self.until: tuple[Fraction, ...] = exact
        shape, dtype = (len(exact), self.axis.channels), functional.sum_type(self.scale.dtype)
        self.mean = nnx.BatchStat(jnp.zeros(shape, dtype))
        self.var = nnx.BatchStat(jnp.ones(shape, dtype))
        self.known = nnx.BatchStat(jnp.zeros(len(exact), bool))

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        active = self.axis.active(width)
        check_channels(self, x, active, width)
        if self.use_running_average:
            return functional.normalise(x, *self.at_inference(width), self.epsilon)
        return functional.normalise_by_batch(x, self.scale[:active], self.bias[:active], self.epsilon)[0]

    def at_inference(
        self, width: widths.AnyWidth, after: widths.Width | None = None
    ) -> tuple[Array, Array, Array, Array]:
        row = self.row(width)
        channels = slice(0 if after is None else self.axis.active(after), self.axis.active(width))
        return self.mean[row, channels], self.var[row, channels], self.scale[channels], self.bias[channels]

    def calibrate(self, width: widths.Width, mean: Float[Array, " C"], var: Float[Array, " C"]) -> None:
        row, active = self.row(width), self.axis.active(width)
        self.mean[...] = self.mean[...].at[row, :active].set(mean.astype(self.mean.dtype))
        self.var[...] = self.var[...].at[row, :active].set(var.astype(self.var.dtype))
        self.known[...] = self.known[...].at[row].set(True)

    def row(self, width: widths.AnyWidth) -> int:
        """Which statistics serve a width: those of the next larger calibrated one, or of one with the same sub-network.

        Raises:
            TypeError: if the width is data: it must be known when the program is made.
        """
        if isinstance(width, widths.Drawn):
            raise TypeError("CalibratedBatchNorm runs with its statistics at widths that are known beforehand alone")
        return bisect.bisect_left(self.until, widths.exact_width(width))
