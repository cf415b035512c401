"""A loop over rows, in the form that the machine runs fast."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from awn_jax import hardware

State = TypeVar("State")


def scan(step: Callable[[State, Any], tuple[State, Any]], state: State, rows: Any) -> tuple[State, Any]:
    """`jax.lax.scan`; written out, row by row, where programs run loops slowly.

    Args:
        step: `(state, row) -> (state, value)`.
        state: before the first row.
        rows: a tree of arrays, a row of each at a time.

    Returns:
        The state after the last row, and the values of all rows, stacked.
    """
    if hardware.runs_loops_well():
        return lax.scan(step, state, rows)
    values = []
    for index in range(len(jax.tree.leaves(rows)[0])):
        state, value = step(state, jax.tree.map(lambda row, index=index: row[index], rows))
        values.append(value)
    return state, jax.tree.map(lambda *several: jnp.stack(several), *values)
