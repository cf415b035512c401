"""Training that begins from a trained network, also from an ordinary one of the same channels.

A triangular network cannot use an ordinary one's weights as they are: half of them do not exist there, and every width is to
answer, where the ordinary network had none but the widest. What it can take are the weights that exist in both, as a beginning.

Dimensions: C input channels, K output channels.
"""

import os

import jax.numpy as jnp
import numpy as np

from awn_jax.models import AnyWidthNetwork
from awn_jax.weights.arrays import existing, variables
from awn_jax.weights.file import WeightsError
from awn_jax.weights.source import find


def begin_from(source: str | os.PathLike[str], network: AnyWidthNetwork) -> tuple[str, ...]:
    """Sets the weights and statistics of a network to those of another one, of any family, with the same channels.

    Weights that do not exist in it are left out, and the others of their outputs scaled up: those of an output that still reads
    n of C inputs, by √(C / n).

    Args:
        source: see `find`.
        network: it is changed.

    Returns:
        Names of the arrays that were left as they were: those of a last layer for other classes.

    Raises:
        WeightsError: if there is no such network, or one of other layers or channels.
    """
    other = find(source).network
    theirs, own = dict(variables(other)), dict(variables(network))
    had, there = existing(other), existing(network)
    left = tuple(
        name for name in own if name.startswith("head.") and name in theirs and theirs[name].shape != own[name].shape
    )
    for name, variable in own.items():
        found = theirs[name].shape if name in theirs else "none"
        if name not in left and found != variable.shape:
            raise WeightsError(
                f"train.init_from must name a network with the same layers and channels (model.multiplier=1 for those of an "
                f"ordinary one): {name} must have shape {variable.shape}, {source} has {found}"
            )
    for name, variable in own.items():
        if name in left:
            continue
        array = np.asarray(theirs[name][...])
        if name in there:
            # An output that reads fewer inputs than it did sums up fewer parts: those that are left are scaled so that their
            # sum varies as much as before, were they independent.
            exists = there[name]
            before = had.get(name, np.ones_like(exists))
            array = np.where(exists, array, 0) * np.sqrt(before.sum(0) / (before & exists).sum(0))
        variable[...] = jnp.asarray(array, variable.dtype)
    return left
