"""Operations of JAX on single numbers that ONNX has too, one for one."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


class Function(NamedTuple):
    """What an operation is in each place.

    Attributes:
        onnx: the operator.
        source: plain Python with JAX, with a place for each operand.
        jax: of operands that are all arrays.
        attributes: of the ONNX operator.
    """

    onnx: str
    source: str
    jax: Callable[..., Array]
    attributes: Mapping[str, Any] = MappingProxyType({})


# By the name of JAX's primitive.
FUNCTIONS = {
    "abs": Function("Abs", "jnp.abs({})", lax.abs),
    "add": Function("Add", "{} + {}", lax.add),
    "ceil": Function("Ceil", "jnp.ceil({})", lax.ceil),
    "cos": Function("Cos", "jnp.cos({})", lax.cos),
    "div": Function("Div", "{} / {}", lax.div),
    "erf": Function("Erf", "jax.scipy.special.erf({})", lax.erf),
    "exp": Function("Exp", "jnp.exp({})", lax.exp),
    "floor": Function("Floor", "jnp.floor({})", lax.floor),
    "log": Function("Log", "jnp.log({})", lax.log),
    "logistic": Function("Sigmoid", "nnx.sigmoid({})", lax.logistic),
    "max": Function("Max", "jnp.maximum({}, {})", lax.max),
    "min": Function("Min", "jnp.minimum({}, {})", lax.min),
    "mul": Function("Mul", "{} * {}", lax.mul),
    "neg": Function("Neg", "-{}", lax.neg),
    "pow": Function("Pow", "{} ** {}", lax.pow),
    "rem": Function("Mod", "jnp.fmod({}, {})", lax.rem, {"fmod": 1}),
    "sign": Function("Sign", "jnp.sign({})", lax.sign),
    "sin": Function("Sin", "jnp.sin({})", lax.sin),
    "sqrt": Function("Sqrt", "jnp.sqrt({})", lax.sqrt),
    "sub": Function("Sub", "{} - {}", lax.sub),
    "tan": Function("Tan", "jnp.tan({})", lax.tan),
    "tanh": Function("Tanh", "jnp.tanh({})", lax.tanh),
}


def filled(
    operands: Sequence[float | int | None], inputs: Sequence[Any], constant: Callable[[float | int], Any]
) -> list[Any]:
    """All operands of an operation.

    Args:
        operands: constants in their places, None for each input.
        inputs: in order.
        constant: makes an operand of a constant.
    """
    given = iter(inputs)
    return [next(given) if operand is None else constant(operand) for operand in operands]


def applied(function: str, operands: Sequence[float | int | None], inputs: Sequence[Array]) -> Array:
    """The result of an operation on arrays of one shape and constants."""
    like = inputs[0]
    return FUNCTIONS[function].jax(*filled(operands, inputs, lambda value: jnp.full(like.shape, value, like.dtype)))
