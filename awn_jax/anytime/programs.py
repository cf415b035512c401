"""Compiled steps from one width to another: few, kept for all models of one structure, shared by all threads."""

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Num

from awn_jax import hardware
from awn_jax.anytime import growth
from awn_jax.anytime.keys import StructureKey
from awn_jax.network import Network, bound, read

# How many are kept at most, in this process; the one that was not used for longest goes first.
MOST_PROGRAMS, MOST_STRUCTURES = 128, 64

Images = Num[Array, "..."] | Num[np.ndarray, "..."]
Weights = tuple[Any, ...]
# (weights, images, kept) -> (outputs, kept)
Step = Callable[[Weights, Any, growth.Kept], tuple[Array, growth.Kept]]


class Structure:
    """What programs depend on of a model: everything but the numbers in it.

    Args:
        graphdef: of the model.
        tree: of its state.
        facts: shape and type of each array in it.
    """

    def __init__(self, graphdef: Any, tree: Any, facts: Sequence[jax.ShapeDtypeStruct]):
        self._graphdef, self._tree, self._facts = graphdef, tree, facts

    def model(self, weights: Sequence[Any] | None = None) -> nnx.Module:
        """A model of this structure in inference mode; one without numbers if no weights are given."""
        leaves = self._facts if weights is None else weights
        model = nnx.merge(self._graphdef, jax.tree.unflatten(self._tree, leaves), copy=True)
        model.eval()
        return model


def split(model: nnx.Module) -> tuple[Structure, Weights]:
    """The structure of a model, the same one for equal models, and its weights as they are now.

    The weights are a flat tuple: to flatten a model's state anew at every call costs as much as the call.
    """
    graphdef, state = nnx.split(model)
    leaves, tree = jax.tree.flatten(state)
    facts = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype) for leaf in leaves)
    return _structure(StructureKey(graphdef, tree, facts)), tuple(leaves)


def checked(x: Images) -> Images:
    """Images, once it is sure that a network can take them.

    Raises:
        ValueError: if they are no batch.
        TypeError: if they are no floating-point numbers.
    """
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.ndim != 4 or not x.size:
        raise ValueError(f"x must be one or more images, of shape [B, H, W, P], got shape {x.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x must be floating-point numbers, normalised as the network expects them, got {x.dtype}")
    return x


@functools.lru_cache(maxsize=MOST_PROGRAMS)
def step(
    structure: Structure, width: Fraction, after: Fraction | None, shape: tuple[int, ...], dtype: np.dtype
) -> Step:
    """A step, compiled when it is first called.

    Args:
        structure: of the model.
        width: α to go to.
        after: α to come from; None for the first step.
        shape: of the images, [B, H, W, P].
        dtype: of the images.

    Raises:
        ValueError: if the network does not take such images.
        UnknownLayerError, TypeError: if it cannot be widened; what stands in the way is named.
    """
    wide = network(structure, shape[1:], width)
    growth.check(wide)
    if after is not None:
        narrow = network(structure, shape[1:], after)
        growth.check(narrow)
        growth.check_same(narrow, wide, after, width)

    def run(weights: Weights, images: Array, kept: growth.Kept) -> tuple[Array, growth.Kept]:
        own = bound(wide, structure.model(weights))
        if after is None:
            return growth.start(own, images, width)
        return growth.widen(own, images, kept, after=after, width=width)

    return jax.jit(run, compiler_options=hardware.compiler_options())


@functools.lru_cache(maxsize=MOST_PROGRAMS)
def macs(structure: Structure, image_size: tuple[int, ...], width: Fraction) -> int:
    """Multiply-accumulates of one pass at a width for one image."""
    return int(network(structure, image_size, width).costs([width]).macs[0])


@functools.lru_cache(maxsize=MOST_PROGRAMS)
def network(structure: Structure, image_size: tuple[int, ...], width: Fraction) -> Network:
    """What a model of a structure is made of at a width, without its numbers.

    Raises:
        ValueError: if it does not take such images.
    """
    try:
        return read(structure.model(), image_size, width)
    except ValueError as error:
        raise ValueError(f"x must be images that the network takes, these are of size {image_size}: {error}") from error


@functools.lru_cache(maxsize=MOST_STRUCTURES)
def _structure(key: StructureKey) -> Structure:
    return Structure(key.graphdef, key.tree, key.facts)
