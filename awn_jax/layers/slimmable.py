"""Batch norms of the rival networks, whose ordinary convolutions give other values at every width.

Dimensions: B batch, H height, W width in pixels, C channels, N sub-networks.
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
from awn_jax.layers.norm import BatchNorm
from awn_jax.layers.sliced import check_channels


class SwitchableBatchNorm(nnx.Module):
    """A private batch norm (scale, bias and statistics) for each trained width.

    At a width in between, the one of the next larger trained width is used, sliced.

    Args:
        axis: channels, or their number.
        at: trained widths; the widest must be 1.
        momentum, epsilon, dtype: of each, see `BatchNorm`.

    Attributes:
        channels: of each batch norm, ascending.
        norms: one for each trained width.

    Raises:
        ValueError: if there is no batch norm for width 1.

    Source: Slimmable Neural Networks (Yu et al., 2019); the rule in between is that of Any-Width Networks (Vu et al., 2020).
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(
        self,
        axis: int | widths.Axis,
        at: Sequence[widths.Width],
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.axis = widths.Axis.of(axis)
        exact = sorted(widths.exact_width(width) for width in at)
        if not exact or exact[-1] != 1:
            raise ValueError(f"at must hold width 1, or it has no batch norm, got {tuple(at)}")
        private = [self.axis.prefix(width) for width in exact]
        self.channels = tuple(axis.channels for axis in private)
        self.norms = nnx.List([BatchNorm(a, momentum=momentum, epsilon=epsilon, dtype=dtype) for a in private])

    def __call__(self, x: Float[Array, "B H W C"], width: widths.Width = 1) -> Float[Array, "B H W C"]:
        """Normalises each channel; arguments and errors as for `BatchNorm`."""
        check_channels(self, x, self.axis.active(width), width)
        return self.norms[self.position(width)](x, width)

    def position(self, width: widths.Width) -> int:
        """Which of `norms` serves a width: that of the next larger trained one."""
        return bisect.bisect_left(self.channels, self.axis.active(width))

    def at_inference(self, width: widths.Width) -> tuple[Array, Array, Array, Array]:
        """Running mean and variance, scale and bias of the channels at a width."""
        return self.norms[self.position(width)].at_inference(width)


class CalibratedBatchNorm(nnx.Module):
    """Batch norm with one scale and one bias for all widths, and statistics for each sub-network once it is calibrated.

    While training, the batch's own statistics serve. `training.calibrate` then sets those of the widths that it is given; at a
    width that has none, those of the next larger calibrated one are used, sliced.

    Args:
        axis: channels, or their number.
        edges: widths at which one sub-network gives way to the next, ascending, see `widths.cuts`: N − 1 of them.
        epsilon: added to the variance.
        dtype: of scale and bias.

    Attributes:
        scale, bias: [C] parameters.
        mean, var: [N, C] statistics; the variance is the biased one, of all the images calibrated with.
        known: [N], which sub-networks have statistics.

    Source: Universally Slimmable Networks (Yu & Huang, 2019).
    """

    keeps_prefix: ClassVar[bool] = False

    def __init__(
        self,
        axis: int | widths.Axis,
        edges: Sequence[Fraction],
        *,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.axis, self.edges = widths.Axis.of(axis), tuple(edges)
        self.epsilon, self.use_running_average = epsilon, False
        channels, networks = self.axis.channels, len(self.edges) + 1
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.bias = nnx.Param(jnp.zeros(channels, dtype))
        self.mean = nnx.BatchStat(jnp.zeros((networks, channels), dtype))
        self.var = nnx.BatchStat(jnp.ones((networks, channels), dtype))
        self.known = nnx.BatchStat(jnp.zeros(networks, bool))

    def __call__(self, x: Float[Array, "B H W C"], width: widths.Width = 1) -> Float[Array, "B H W C"]:
        """Normalises each channel; arguments and errors as for `BatchNorm`."""
        active = self.axis.active(width)
        check_channels(self, x, active, width)
        if self.use_running_average:
            return functional.normalise(x, *self.at_inference(width), self.epsilon)
        return functional.normalise_by_batch(x, self.scale[:active], self.bias[:active], self.epsilon)[0]

    def at_inference(self, width: widths.Width) -> tuple[Array, Array, Array, Array]:
        """Mean, variance, scale and bias of the channels at a width."""
        network, active = self.network(width), self.axis.active(width)
        # argmax finds the first one that is known.
        row = network + jnp.argmax(self.known[network:])
        return self.mean[row, :active], self.var[row, :active], self.scale[:active], self.bias[:active]

    def calibrate(self, width: widths.Width, mean: Float[Array, " C"], var: Float[Array, " C"]) -> None:
        """Sets the statistics of the sub-network at a width."""
        network, active = self.network(width), self.axis.active(width)
        self.mean[...] = self.mean[...].at[network, :active].set(mean)
        self.var[...] = self.var[...].at[network, :active].set(var)
        self.known[...] = self.known[...].at[network].set(True)

    def only(self, at: Sequence[widths.Width]) -> None:
        """Forgets the statistics of all sub-networks but those at the given widths."""
        kept = jnp.zeros_like(self.known[...]).at[jnp.array([self.network(width) for width in at])].set(True)
        self.known[...] = self.known[...] & kept

    def network(self, width: widths.Width) -> int:
        """The number of the sub-network that a width gives."""
        return bisect.bisect_left(self.edges, widths.exact_width(width))

    def cost(self, outputs_shape: tuple[int, ...], width: widths.Width) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one example), as for `BatchNorm`."""
        return 2 * self.axis.active(width), 0
