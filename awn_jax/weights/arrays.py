"""The numbers of a network by name. Of a triangular kernel, only those are listed that exist: about half.

Dimensions: C input channels, K output channels.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Shaped

from awn_jax.layers.sliced import Sliced

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def variables(model: nnx.Module) -> Iterator[tuple[str, Any]]:
    """Everything that a model learns or keeps count of, by its dotted name; no random keys."""
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        if not jnp.issubdtype(variable.dtype, jax.dtypes.prng_key):
            yield ".".join(map(str, path)), variable


def existing(model: nnx.Module) -> dict[str, Bool[np.ndarray, "C K"]]:
    """Which outputs read which inputs, for each kernel that has weights which do not exist."""
    found = {}
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Sliced) and not (exists := module.exists()).all():
            found[".".join(map(str, (*path, "kernel")))] = exists
    return found


def taken(model: nnx.Module) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a model; a kernel [*taps, C, K] of which some weights do not exist as [*taps, n], without those."""
    there = existing(model)
    return {
        name: np.asarray(variable[...])[(..., there[name]) if name in there else ...]
        for name, variable in variables(model)
    }


def put(model: nnx.Module, arrays: Arrays) -> None:
    """Sets the arrays of a model to those that `taken` gave of an equal one.

    Raises:
        ValueError: if a name, shape or type is another one; it is named, and nothing is changed.
    """
    there, own = existing(model), dict(variables(model))
    for name in (*own, *arrays):
        if name not in arrays or name not in own:
            raise ValueError(f"{name} is {'not there' if name in own else 'in no such network'}")
        shape = _packed(own[name].shape, there.get(name))
        found = arrays[name].shape, arrays[name].dtype
        if found != (shape, own[name].dtype):
            raise ValueError(f"{name} must be {own[name].dtype} of shape {shape}, got {found[1]} of {found[0]}")
    for name, variable in own.items():
        array = arrays[name]
        if name in there:
            array = np.zeros(variable.shape, variable.dtype)
            array[..., there[name]] = arrays[name]
        variable[...] = jnp.asarray(array)


def _packed(shape: tuple[int, ...], exists: Bool[np.ndarray, "C K"] | None) -> tuple[int, ...]:
    return tuple(shape) if exists is None else (*shape[:-2], int(exists.sum()))
