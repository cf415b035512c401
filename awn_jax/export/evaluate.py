"""What each kind of step computes, in JAX."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from awn_jax.export import pointwise
from awn_jax.layers import taps
from awn_jax.layers.pointwise import FUNCTIONS


def evaluate(
    kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], inputs: Sequence[Array]
) -> Array:
    """The result of a step.

    Args:
        kind: one of `KINDS`.
        arrays: the step's weights.
        settings: the step's.
        inputs: [B, ..., C] each.
    """
    x = inputs[0]
    match kind:
        case "conv":
            y = lax.conv_general_dilated(
                x,
                jnp.asarray(arrays["kernel"]),
                settings["strides"],
                settings["padding"],
                rhs_dilation=settings["dilation"],
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            return y + _by_channel(arrays["bias"], y)
        case "depthwise":
            strides, padding = tuple(settings["strides"]), tuple(map(tuple, settings["padding"]))
            y = taps.depthwise(x, jnp.asarray(arrays["kernel"]), strides, padding)
            return y + _by_channel(arrays["bias"], y)
        case "affine":
            return x * _by_channel(arrays["scale"], x) + _by_channel(arrays["bias"], x)
        case "dense":
            y = x @ jnp.asarray(arrays["kernel"])
            return y + _by_channel(arrays["bias"], y)
        case "head":
            kernel = jnp.asarray(arrays["kernel"])
            y = jnp.einsum("bpc,cpk->bk", x.reshape(x.shape[0], *kernel.shape[1::-1]), kernel)
            return y + _by_channel(arrays["bias"], y)
        case "activation":
            return FUNCTIONS[settings["function"]](x)
        case "pointwise":
            return pointwise.applied(settings["function"], settings["operands"], inputs)
        case "max_pool":
            return _windows(x, -jnp.inf, lax.max, settings)
        case "mean_pool":
            return _windows(x, 0.0, lax.add, settings) / math.prod(settings["window"])
        case "upsample":
            rows, columns = settings["factor"]
            return jnp.repeat(jnp.repeat(x, rows, 1), columns, 2)
        case "mean":
            return x.mean((1, 2), keepdims=settings["keepdims"])
        case "sum":
            return x.sum((1, 2), keepdims=settings["keepdims"])
        case "reshape":
            return x.reshape(x.shape[0], *settings["pixels"], x.shape[-1])
        case "add":
            return sum(inputs[1:], start=x)
        case "concat":
            return jnp.concatenate(inputs, -1)[..., np.asarray(settings["order"])]
        case "identity":
            return x
    raise ValueError(f"kind must be one of awn_jax.export.kinds.KINDS, got {kind!r}")


def _by_channel(values: Float[np.ndarray, " C"], like: Array) -> Array:
    return jnp.asarray(values).reshape((1,) * (like.ndim - 1) + (-1,))


def _windows(x: Array, start: float, reduce: Any, settings: Mapping[str, Any]) -> Array:
    window, strides = ((1, *settings[key], 1) for key in ("window", "strides"))
    return lax.reduce_window(x, start, reduce, window, strides, ((0, 0), *settings["padding"], (0, 0)))
