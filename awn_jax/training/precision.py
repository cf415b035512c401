"""Computing in a narrower type than the one that parameters are kept in."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from awn_jax.layers import Head, Norm
from awn_jax.training.objectives import Cast, as_they_are
from awn_jax.training.places import place


def cast(model: nnx.Module, dtype: str) -> Cast:
    """What makes the parameters to compute with of those that are kept.

    The library's layers convert what they read to the type of their weights, so activations follow. Norms and the head compute
    with what is kept, and statistics, sums, logits and the loss are in its type too.

    Args:
        model: whose parameters they are.
        dtype: to compute in; empty for the type of each parameter.
    """
    if not dtype:
        return as_they_are
    spared = {path for path, module in nnx.iter_modules(model) if isinstance(module, Norm | Head)}

    def narrowed(path: Any, value: Array) -> Array:
        layer, _ = place(path)
        return value if layer in spared or not jnp.issubdtype(value.dtype, jnp.floating) else value.astype(dtype)

    return lambda params: jax.tree.map_with_path(narrowed, params)
