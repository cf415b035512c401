"""Plain JAX that does what an op of the library does, so that a model may write `x + y` or `nnx.relu(x)`.

Only what acts on every channel by itself is taken: numbers one by one, sums and maxima over pixels, axes of size one.
"""

import math
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from awn_jax.layers.op import Op
from awn_jax.layers.pointwise import Activation, Pointwise, Sum
from awn_jax.layers.pooling import Pool, Reduction, Reshape

ELEMENTWISE = frozenset(
    [
        "abs",
        "add",
        "cbrt",
        "ceil",
        "clamp",
        "copy",
        "cos",
        "div",
        "erf",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "integer_pow",
        "is_finite",
        "log",
        "log1p",
        "logistic",
        "max",
        "min",
        "mul",
        "neg",
        "nextafter",
        "pow",
        "reduce_precision",
        "rem",
        "round",
        "rsqrt",
        "sign",
        "sin",
        "sqrt",
        "square",
        "stop_gradient",
        "sub",
        "tan",
        "tanh",
    ]
)


def op_of(equation: JaxprEqn, constants: dict[int, Any]) -> Op | None:
    """The op that an equation of a program is; None if it is none.

    Args:
        equation: one of its operands, at least, depends on the images.
        constants: the operands, by position, that do not.
    """
    name, params = equation.primitive.name, equation.params
    data = [shape_of(v) for i, v in enumerate(equation.invars) if i not in constants]
    (shape, *others), result = data, shape_of(equation.outvars[0])
    if name in ELEMENTWISE and len(equation.outvars) == 1 and all(other == shape == result for other in data):
        return _elementwise(equation, constants)
    if others or constants:
        return None
    if name == "reduce_sum" and tuple(params["axes"]) == (1, 2) and len(shape) == 4:
        return Reduction(False, keepdims=False)
    if name in ("reshape", "broadcast_in_dim", "squeeze", "expand_dims"):
        return _reshape(shape, result) if params.get("dimensions") is None or name != "reshape" else None
    if name == "reduce_window_max" and len(shape) == 4:
        return _max_pool(params)
    return None


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable of a program; empty for what is no array."""
    return tuple(getattr(variable.aval, "shape", ()))


def _elementwise(equation: JaxprEqn, constants: dict[int, Any]) -> Op | None:
    name = equation.primitive.name
    if any(np.ndim(value) for value in constants.values()):
        return None
    scalars = {position: float(value) for position, value in constants.items()}
    if name == "max" and list(scalars.values()) == [0.0]:
        return Activation("relu")
    if name == "add" and not scalars:
        return Sum()
    params = tuple(sorted(equation.params.items()))
    return Pointwise(equation.primitive, params, tuple(sorted(scalars.items())))


def _reshape(shape: tuple[int, ...], result: tuple[int, ...]) -> Op | None:
    # Axes of one pixel come or go; batch and channels stay the first and the last.
    pixels, new = [[n for n in one[1:-1] if n != 1] for one in (shape, result)]
    same = len(shape) > 1 < len(result) and (shape[0], shape[-1], pixels) == (result[0], result[-1], new)
    return Reshape(tuple(result[1:-1])) if same and math.prod(shape) == math.prod(result) else None


def _max_pool(params: dict[str, Any]) -> Op | None:
    window, strides, padding = (tuple(params[f"window_{key}"]) if key != "padding" else tuple(params[key])
                                for key in ("dimensions", "strides", "padding"))  # fmt: skip
    ends = {window[0], window[3], strides[0], strides[3], *params["base_dilation"], *params["window_dilation"]}
    if ends != {1} or padding[0] != (0, 0) or padding[3] != (0, 0):
        return None
    (top, bottom), (left, right) = padding[1:3]
    return Pool(False, window[1:3], strides[1:3], ((top, bottom), (left, right)))
