"""Where to stop in depth as well as in width: every exit of a network at every width, and the best of them within a budget."""

from collections.abc import Sequence
from typing import NamedTuple

from awn_jax import network
from awn_jax.anytime import policy
from awn_jax.data import Examples, Preparation
from awn_jax.errors import UserError
from awn_jax.evaluation.outputs import outputs_at
from awn_jax.models import AnyWidthNetwork, exits
from awn_jax.tasks import Task


class BudgetError(UserError, ValueError):
    """Nothing is within a budget; the message says what the least is."""


class Choice(NamedTuple):
    """An exit at a width.

    Attributes:
        exit: its number, from 0; the network's own end is the last.
        width: α.
        macs: multiply-accumulates for one image.
        value: of the task's first metric.
    """

    exit: int
    width: float
    macs: float
    value: float


def grid(
    model: AnyWidthNetwork,
    images: Examples,
    preparation: Preparation,
    at: Sequence[float],
    task: Task,
    *,
    progress: bool = True,
) -> list[Choice]:
    """Every exit at every width: one pass over the images for each exit gives all its widths.

    Args:
        model: a network, as a rule with early exits.
        images: to score.
        preparation: normalisation.
        at: ascending widths.
        task: what the outputs mean; its first metric is a mean over images.
        progress: show bars.
    """
    found, targets = [], task.targets(images.gathered(task.entries))
    for number, part in enumerate(exits(model)):
        outputs = outputs_at(part, images, preparation, at, progress=progress)
        macs = network.costs(part, images.image_size, at).macs.tolist()
        points = policy.static_curve(outputs, targets, at, macs, task.at(at))
        found += [Choice(number, point.name, point.macs, point.value) for point in points]
    return found


def table(choices: Sequence[Choice]) -> list[Choice]:
    """The policy: the choices that are better than all cheaper ones, ascending; each serves the budgets up to the next one."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.macs, -choice.value)):
        if not kept or choice.value > kept[-1].value:
            kept.append(choice)
    return kept


def best(choices: Sequence[Choice], macs: float | int) -> Choice:
    """The best choice within a budget of multiply-accumulates for one image; of equally good ones, the cheapest.

    On the images that the grid was scored on, it is never worse than the best width of the whole network within the budget,
    which is one of the choices.

    Raises:
        BudgetError: if all cost more.
    """
    within = [choice for choice in table(choices) if choice.macs <= macs]
    if not within:
        least = min(choice.macs for choice in choices)
        raise BudgetError(f"macs must be at least {least:,.0f}, what the cheapest exit and width cost, got {macs:,.0f}")
    return within[-1]
