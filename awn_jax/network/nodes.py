"""What a model is made of: a graph of ops.

Dimensions: N widths.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from flax import nnx

from awn_jax import widths
from awn_jax.errors import UserError
from awn_jax.layers.op import Costs, Op


class UnknownLayerError(UserError, ValueError):
    """A network holds code that is none of the library's ops where such a one is needed; the message names it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operation of a network, on values that are numbered: 0 is the images, n the result of node n − 1.

    Attributes:
        name: dotted path of the layer, or what the op does; for code that is no op, who wrote it and what it is.
        op: the layer of the model, or an op without weights; None for code that is no op.
        inputs: numbers of values.
        shape: of the result for one example, at the width that was looked at.
        axis: of the result's channels; None where it is not known.
        problem: why values of these births cannot go together, or nothing.
        costs: of code that is no op, at the width that was looked at: weights, and multiply-accumulates for one example.
    """

    name: str
    op: Op | None
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    axis: widths.Axis | None = None
    problem: str = ""
    costs: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The ops of a model, in the order in which they run.

    Attributes:
        nodes: the ops.
        output: number of the value that the model gives.
        image_size: height, width and planes of the images.
    """

    nodes: tuple[Node, ...]
    output: int
    image_size: tuple[int, ...]

    @property
    def foreign(self) -> tuple[str, ...]:
        """Names of what is no op, each once."""
        return tuple(dict.fromkeys(node.name for node in self.nodes if node.op is None))

    @property
    def obstacle(self) -> str:
        """What keeps a narrow network from being a prefix of the wide one, by what the ops say of themselves; or nothing.

        Code that is no op is not trusted: `check_prefix` can tell.
        """
        for node in self.nodes:
            if node.problem:
                return f"{node.name}: {node.problem}"
            if node.op is None:
                return f"{node.name} is none of the library's ops"
            if not node.op.keeps_prefix:
                return f"{node.name} ({type(node.op).__name__}) gives other values at every width"
        return ""

    @property
    def keeps_prefix(self) -> bool:
        """Whether a narrow network is a prefix of the wide one, by what its ops say of themselves."""
        return not self.obstacle

    def check_known(self, purpose: str) -> None:
        """Makes sure that the network is made of ops alone.

        Args:
            purpose: what needs them, as the beginning of an error.

        Raises:
            UnknownLayerError: naming what is none.
        """
        if self.foreign:
            raise UnknownLayerError(f"{purpose} needs a network of the library's ops alone, got {self.foreign[0]}")

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value for one example."""
        return self.nodes[value - 1].shape if value else self.image_size

    def axis(self, value: int) -> widths.Axis | None:
        """The axis of a value's channels; None where it is not known."""
        return self.nodes[value - 1].axis if value else widths.Axis.whole(self.image_size[-1])

    def costs(self, at: Sequence[widths.Width]) -> Costs:
        """What its ops cost at N widths; a layer that is called several times holds its weights once."""
        params, macs = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        seen: set[int] = set()
        for node in self.nodes:
            if node.op is not None:
                own = node.op.costs(node.shape, at)
                params += 0 if id(node.op) in seen else own.params
                macs += own.macs
                seen.add(id(node.op))
        return Costs(params, macs)

    def plan(self) -> list[tuple[str, tuple[int, ...]]]:
        """What runs on what, with the settings of ops without weights, to compare two networks by."""
        return [(_described(node), node.inputs) for node in self.nodes]


def _described(node: Node) -> str:
    if node.op is None:
        return node.name
    return f"{node.name} {type(node.op).__name__ if isinstance(node.op, nnx.Module) else node.op}"
