"""A network up to one of its early exits, as a network of its own: what the library does with networks, it does with exits."""

import itertools

from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.models.base import AnyWidthNetwork


class Exit(AnyWidthNetwork):
    """A network that ends at one of its exits; the weights are those of the network.

    Args:
        network: with early exits.
        number: of the exit, from 0; its own end is the last.

    Raises:
        ValueError: if there is no such exit.
    """

    def __init__(self, network: AnyWidthNetwork, number: int):
        if not 0 <= number <= len(network.early):
            raise ValueError(f"number must be in [0, {len(network.early)}], got {number}")
        self.network, self.number, self.dropout = network, number, network.dropout
        self.head = [*network.early, network.head][number]
        self.prefix_checked = network.prefix_checked

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        return next(itertools.islice(self.network.staged(x, width), self.number, None))


def exits(network: AnyWidthNetwork) -> list[AnyWidthNetwork]:
    """The network up to each of its exits, the whole one last."""
    return [*(Exit(network, number) for number in range(len(network.early))), network]
