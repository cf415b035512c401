"""What batches come to, at N widths: sums on the devices and, where a metric is none, tallies on the host.

Dimensions: B batch, N widths.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from awn_jax import hardware
from awn_jax.data import replicate
from awn_jax.data.examples import Example
from awn_jax.tasks import Task


class Totals:
    """Of the examples scored so far; a `Program` adds to them.

    Args:
        task: whose metrics they are.
        count: N.
        mesh: devices.
    """

    def __init__(self, task: Task, count: int, mesh: Mesh):
        self._task = task
        self.sums = replicate(task.start(count), mesh)
        self.tallies: list[Any] = []

    def finish(self) -> dict[str, Float[np.ndarray, " N"]]:
        """The metrics, by name."""
        return self._task.finish(jax.device_get(self.sums), self.tallies)


class Program:
    """Scores batch after batch; compiled once.

    Args:
        task: what the outputs mean.
        outputs: gives them, [N, B, …], from what `add` is given last, and the task as it is at their widths; traced.
    """

    def __init__(self, task: Task, outputs: Callable[..., tuple[Task, Array]]):
        def score(sums: Any, targets: Any, counted: Array, *given: Any) -> tuple[Any, Any]:
            asked, answers = outputs(*given)
            return asked.update(sums, answers, targets, counted), asked.found(answers, targets)

        self._task = task
        self._score = jax.jit(score, compiler_options=hardware.compiler_options())

    def add(self, totals: Totals, examples: Example, counted: Bool[Array, " B"], *given: Any) -> None:
        """Adds a batch, of which some examples count, to the totals.

        Args:
            totals: of as many widths as there are outputs.
            examples: the batch.
            counted: which of them count.
            *given: what the outputs are made from.
        """
        targets = self._task.targets(examples)
        totals.sums, found = self._score(totals.sums, targets, counted, *given)
        if jax.tree.leaves(found):
            totals.tallies.append(_tallied(self._task, found, targets, counted))


def metrics(task: Task, outputs: Float[np.ndarray, "N B ..."], targets: Any) -> dict[str, Float[np.ndarray, " N"]]:
    """The metrics of outputs that are there already.

    Args:
        task: what they mean, as it is at the N widths, see `Task.at`.
        outputs: at N widths.
        targets: of the same examples.
    """
    counted = jnp.ones(outputs.shape[1], bool)
    answers, targets = jnp.asarray(outputs), jax.tree.map(jnp.asarray, targets)
    sums = task.update(task.start(len(answers)), answers, targets, counted)
    found = task.found(answers, targets)
    tallies = [_tallied(task, found, targets, counted)] if jax.tree.leaves(found) else []
    return task.finish(jax.device_get(sums), tallies)


def _tallied(task: Task, found: Any, targets: Any, counted: Array) -> Any:
    found, targets, there = jax.device_get((found, targets, counted))
    # Examples are the first axis of targets, the second of what was found.
    return task.tally(
        *(jax.tree.map(cut, tree) for cut, tree in ((lambda x: x[:, there], found), (lambda x: x[there], targets)))
    )
