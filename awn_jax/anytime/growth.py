"""The forward pass that computes only what a wider width adds to a narrower one.

It runs the graph of a network's ops. Most ops need the new channels of their inputs alone; a triangular convolution reads the
old ones too, so the values that such an op reads are kept, each once, however many ops read it. A head adds to what it gave.

Dimensions: B batch, H height, W width, P planes.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import Op
from awn_jax.network import Network

# Whole values by number, see `Network`: what is kept of a narrower width.
Kept = Mapping[int, Array]


def check(network: Network) -> None:
    """Makes sure that wide answers can grow out of narrow ones.

    Raises:
        UnknownLayerError: if the network holds code that is none of the library's ops; it is named.
        TypeError: if a narrow network is no prefix of the wide one; the layer is named.
    """
    network.check_known("widening an answer")
    if network.obstacle:
        raise TypeError(f"widening an answer needs narrow networks that are prefixes of wide ones: {network.obstacle}")


def check_same(narrow: Network, wide: Network, after: widths.Width, width: widths.Width) -> None:
    """Makes sure that a model runs the same ops at two widths.

    Raises:
        TypeError: if it takes another path at one of them; the first op that differs is named.
    """
    plans = ([*network.plan(), ("the result", (network.output,))] for network in (narrow, wide))
    for here, there in itertools.zip_longest(*plans, fillvalue=("nothing", ())):
        if here != there:
            raise TypeError(
                "widening an answer needs a model that runs the same ops on the same values at every width, this one runs "
                f"{here[0]} on {here[1]} at width={float(after):.4g} and {there[0]} on {there[1]} at width={float(width):.4g}"
            )


def start(network: Network, images: Float[Array, "B H W P"], width: widths.Width) -> tuple[Array, Kept]:
    """The outputs at a width, and what `widen` needs to go on.

    Args:
        network: of a model in inference mode.
        images: for all widths.
        width: α, static.
    """
    whole = _whole(network, images, width)
    return whole[network.output], _kept(_Roles(network), whole, width)


def widen(
    network: Network, images: Float[Array, "B H W P"], kept: Kept, *, after: widths.Width, width: widths.Width
) -> tuple[Array, Kept]:
    """The outputs at a wider width, and what is needed to go on.

    Args:
        network: the same at both widths.
        images: those that `start` was given.
        kept: at the narrower width.
        after: the narrower width, static.
        width: the wider one, static.
    """
    roles = _Roles(network)
    whole: dict[int, Array] = {0: images}
    new: dict[int, Array] = {}

    def grows(value: int) -> bool:
        axis = network.axis(value)
        assert axis is not None  # in a network of ops alone
        return axis.active(after) < axis.active(width)

    def added(op: Op, inputs: tuple[int, ...]) -> Array:
        if op.reads_whole:
            return op.added(*[whole[i] for i in inputs], width=width, after=after)
        parts = [new[i] if i in new else _no_channels(network, images, width, i) for i in inputs]
        return op.added(*parts, width=width, after=after)

    for number, op, inputs in roles.calls:
        if not roles.changing.isdisjoint(inputs):
            whole[number] = op.apply(*[whole[i] for i in inputs], width=width)
        elif op.adds_up:
            whole[number] = kept[number] + added(op, inputs) if any(map(grows, inputs)) else kept[number]
        else:
            if grows(number):
                new[number] = added(op, inputs)
            if number in roles.kept:
                whole[number] = jnp.concatenate([kept[number], new[number]], -1) if number in new else kept[number]
    return whole[network.output], _kept(roles, whole, width)


class _Call(NamedTuple):
    """Of an op.

    Attributes:
        number: of the value that it gives.
        op: what is called.
        inputs: numbers of the values that it reads.
    """

    number: int
    op: Op
    inputs: tuple[int, ...]


class _Roles:
    """What part the ops and the values of a network play when it is widened.

    Attributes:
        calls: those that the output depends on, in order.
        changing: values all of whose numbers change with the width: what a head gives, and what depends on it.
        kept: values that a wider width reads as a whole, and those that it adds to.
    """

    def __init__(self, network: Network):
        self.calls: list[_Call] = []
        needed = {network.output}
        for number, node in reversed(list(enumerate(network.nodes, 1))):
            if number in needed and node.op is not None:
                needed.update(node.inputs)
                self.calls.insert(0, _Call(number, node.op, node.inputs))
        self.changing: set[int] = set()
        self.kept: set[int] = set()
        for number, op, inputs in self.calls:
            anew = not self.changing.isdisjoint(inputs)
            if anew or op.adds_up:
                self.changing.add(number)
            if anew or op.reads_whole:
                self.kept.update(i for i in inputs if i and i not in self.changing)
            if op.adds_up and not anew:
                self.kept.add(number)


def _whole(network: Network, images: Array, width: widths.Width) -> dict[int, Array]:
    """All values at one width by number."""
    whole = {0: images}
    for number, op, inputs in _Roles(network).calls:
        whole[number] = op.apply(*[whole[i] for i in inputs], width=width)
    return whole


def _kept(roles: _Roles, whole: Kept, width: widths.Width) -> Kept:
    # Nothing comes after full width.
    return {number: whole[number] for number in sorted(roles.kept)} if widths.exact_width(width) < 1 else {}


def _no_channels(network: Network, images: Array, width: widths.Width, value: int) -> Array:
    """A value without new channels as one of none at all: an op may read it beside others that have some."""
    like = jax.eval_shape(lambda: _whole(network, images, width))[value]
    return jnp.zeros((*like.shape[:-1], 0), like.dtype)
