"""What any-width networks are made of: ops, each of which can say what it is at any width.

An op knows the births of what it gives, its cost, what a wider width adds, and the ordinary operation that it is at one
width. Cost, anytime answers and exports ask for these; none of them knows a kind of op by name. An op with weights is a
Flax module too (`Layer`); one without is a small frozen dataclass that a function such as `max_pool` makes and calls.

A new kind of op is written by subclassing `Op` or `Layer`: `apply` is enough to train, the other methods are for the rest.

Dimensions: N widths, C channels, h and w pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from awn_jax import widths


class Ordinary(NamedTuple):
    """An operation with no width left in it, for other programs.

    Attributes:
        kind: one of `awn_jax.export.kinds.KINDS`, which says what arrays and settings each has.
        arrays: weights by name, float64.
        settings: by name, as JSON has them.
    """

    kind: str
    arrays: Mapping[str, np.ndarray] = {}
    settings: Mapping[str, Any] = {}


class Costs(NamedTuple):
    """Of N widths.

    Attributes:
        params: weights that exist, biases, scales; not the running statistics.
        macs: multiply-accumulates for one example.
    """

    params: Int[np.ndarray, " N"]
    macs: Int[np.ndarray, " N"]


class Op:
    """One operation of an any-width network.

    Attributes:
        keeps_prefix: whether what it gives at a narrow width are the first channels of what it gives at a wide one.
        reads_whole: whether the channels that a wider width adds depend on earlier channels of the inputs too.
        adds_up: whether it sums over channels: a wider width then adds to what it gives, in place of appending channels.
    """

    keeps_prefix: ClassVar[bool] = True
    reads_whole: ClassVar[bool] = False
    adds_up: ClassVar[bool] = False

    def apply(self, *inputs: Any, **options: Any) -> Array:
        """`apply(*inputs, width=…)`: the result at a width, from inputs with the channels that are active there."""
        raise NotImplementedError

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        """The axis of the result's channels, given those of the inputs; a layer knows it without them.

        Raises:
            ValueError: if the inputs do not fit together.
        """
        return inputs[0]

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        """What it costs at N widths; nothing, unless said otherwise.

        Args:
            shape: of the result for one example at full width, [h, w, C] or [C].
            at: the widths.
        """
        return Costs(np.zeros(len(at), np.int64), np.zeros(len(at), np.int64))

    def added(self, *inputs: Any, **options: Any) -> Array:
        """`added(*inputs, width=…, after=…)`: what a width adds to the result at a narrower one, `after`.

        That are the new channels, or, if the op `adds_up`, a summand. Both widths are static.

        Args:
            *inputs: the new channels alone; all channels at `width` if the op `reads_whole`.
            **options: `width` and `after`.
        """
        return self.apply(*inputs, width=options["width"])

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        """The ordinary operation that it is at one width.

        Args:
            width: α.
            shapes: of the inputs for one example.

        Raises:
            NotImplementedError: if other programs have no such operation.
        """
        raise NotImplementedError


class Layer(Op, nnx.Module):
    """An op that is a module, as a rule because it has weights; called with its inputs and a width."""

    def __call__(self, x: Any, width: widths.AnyWidth = 1) -> Array:
        """The result at a width.

        Args:
            x: images or features with the channels that are active at `width`.
            width: α, in (0, 1]; static.

        Raises:
            ValueError: if `x` has another number of channels, or `width` is outside (0, 1].
        """
        return run(self, (x,), width)


Observer = Callable[[Op, tuple[Array, ...], widths.AnyWidth, Callable[[], Array]], Array]

# Part of the keys of JAX's caches: a program that was traced for an observer never serves a plain call, nor the reverse.
# Each thread has its own.
_observer = jax.make_user_context(None)


def run(op: Op, inputs: tuple[Array, ...], width: widths.AnyWidth) -> Array:
    """Calls an op, or lets whoever observes this thread's calls do it."""
    observer: Observer | None = _observer.value

    def compute() -> Array:
        # What an op is made of is its own affair.
        with observing(None):
            return op.apply(*inputs, width=width)

    return op.apply(*inputs, width=width) if observer is None else observer(op, inputs, width, compute)


def observing(observer: Observer | None) -> Any:
    """A context in which this thread's calls of ops go to an observer: `(op, inputs, width, compute) -> result`."""
    return _observer(observer)


def check_channels(op: Op, x: Array, expected: int, width: widths.AnyWidth) -> None:
    """Raises ValueError unless the last axis of `x` has the channels expected at a width."""
    if x.shape[-1] != expected:
        raise ValueError(f"{type(op).__name__}: x must have {expected} channels at width={width}, got shape {x.shape}")
