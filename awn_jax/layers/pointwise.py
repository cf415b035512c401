"""What acts on every number by itself: activations and sums."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.op import Op, Ordinary, run

Function = Literal["relu", "relu6", "silu", "sigmoid", "tanh"]
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
}


@dataclasses.dataclass(frozen=True)
class Activation(Op):
    """A function of every number.

    Attributes:
        function: one of `FUNCTIONS`.
    """

    function: Function

    def apply(self, x: Float[Array, "..."], *, width: widths.AnyWidth = 1) -> Float[Array, "..."]:
        return FUNCTIONS[self.function](x)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("activation", settings={"function": self.function})


def activation(x: Float[Array, "..."], function: Function) -> Float[Array, "..."]:
    """Applies a function to every number.

    Args:
        x: features.
        function: one of `relu`, `relu6`, `silu`, `sigmoid`, `tanh`.

    Raises:
        ValueError: if there is no such function.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}, got {function!r}")
    return run(Activation(function), (x,), 1)


def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The larger of each number and 0."""
    return activation(x, "relu")


def relu6(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """`relu`, at most 6."""
    return activation(x, "relu6")


def silu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Each number times its sigmoid."""
    return activation(x, "silu")


@dataclasses.dataclass(frozen=True)
class Pointwise(Op):
    """An operation of JAX on single numbers, from values of one shape and constants.

    Attributes:
        primitive: of JAX.
        params: of the primitive, as items.
        constants: by position among the operands; the other operands are inputs.
    """

    primitive: Any
    params: tuple[tuple[str, Any], ...]
    constants: tuple[tuple[int, float], ...]

    def apply(self, *inputs: Array, width: widths.AnyWidth = 1) -> Array:
        given, constants = iter(inputs), dict(self.constants)
        count = len(inputs) + len(constants)
        like = inputs[0].dtype
        operands = [jnp.asarray(constants[i], like) if i in constants else next(given) for i in range(count)]
        return self.primitive.bind(*operands, **dict(self.params))

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return equal(self.primitive.name, *inputs)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        name, params, constants = self.primitive.name, dict(self.params), dict(self.constants)
        if name in ("copy", "stop_gradient"):
            return Ordinary("identity")
        if name in ("integer_pow", "square"):
            # The power is no operand in JAX.
            name, constants[1] = "pow", params.pop("y", 2)
        if any(value is not None for value in params.values()):
            raise NotImplementedError(f"{name} with {params}")
        operands = [constants.get(i) for i in range(len(shapes) + len(constants))]
        return Ordinary("pointwise", settings={"function": name, "operands": operands})


@dataclasses.dataclass(frozen=True)
class Sum(Op):
    """The sum of values whose channels are born alike."""

    def apply(self, *inputs: Array, width: widths.AnyWidth = 1) -> Array:
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        return total

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return equal("add", *inputs)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("add")


def add(*inputs: Float[Array, "..."]) -> Float[Array, "..."]:
    """The sum of values whose channels are born alike: a residual connection.

    Raises:
        ValueError: if there are fewer than two, or their shapes differ.
    """
    shapes = {x.shape for x in inputs}
    if len(inputs) < 2 or len(shapes) > 1:
        raise ValueError(f"add takes two or more values of one shape, got {[x.shape for x in inputs]}")
    return run(Sum(), inputs, 1)


def equal(name: str, *inputs: widths.Axis) -> widths.Axis:
    """The axis that all inputs have.

    Raises:
        ValueError: if they differ: at some widths their numbers of channels would.
    """
    first, *others = inputs
    for other in others:
        if not np.array_equal(
            np.multiply(first.births, other.denominator), np.multiply(other.births, first.denominator)
        ):
            raise ValueError(f"{name} takes values whose channels are born at the same widths, these are not")
    return first
