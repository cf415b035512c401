"""Making a network simpler without changing what it gives."""

import collections
import dataclasses
from collections.abc import Sequence

from awn_jax.export.graph import Step

# Steps of which each output channel is a weighted sum, and a bias.
_WEIGHTED = ("conv", "depthwise", "dense")


def simplified(steps: Sequence[Step], output: int) -> tuple[Step, ...]:
    """The same network without identities, without steps that nothing reads, and with every affine step that alone reads a
    convolution or dense layer multiplied into it.

    One step is taken out at a time. What is left is a whole network again, whose readers are counted anew, so no rewrite
    can build on what an earlier one has changed.

    Args:
        steps: in order.
        output: number of the value that the network gives.

    Returns:
        Steps of which the last one gives the output; none if the network gives its images.
    """
    network = tuple(steps), output
    while (shorter := _shorter(*network)) is not None:
        network = shorter
    return network[0]


def _shorter(steps: tuple[Step, ...], output: int) -> tuple[tuple[Step, ...], int] | None:
    """The network with one step less; None if there is nothing to take out."""
    readers = collections.Counter([output, *(value for step in steps for value in step.inputs)])
    for number, step in enumerate(steps, 1):
        if step.kind == "identity" or not readers[number]:
            return _without(number, steps, output)
        source = step.inputs[0]
        if step.kind == "affine" and source and readers[source] == 1 and steps[source - 1].kind in _WEIGHTED:
            scaled = _scaled(steps[source - 1], step)
            return _without(number, (*steps[: source - 1], scaled, *steps[source:]), output)
    return None


def _without(number: int, steps: tuple[Step, ...], output: int) -> tuple[tuple[Step, ...], int]:
    """The network without a step: whoever reads its result reads its first input instead."""

    def renumbered(value: int) -> int:
        return steps[number - 1].inputs[0] if value == number else value - (value > number)

    left = steps[: number - 1] + steps[number:]
    return tuple(dataclasses.replace(s, inputs=tuple(map(renumbered, s.inputs))) for s in left), renumbered(output)


def _scaled(step: Step, affine: Step) -> Step:
    """A weighted sum with the affine step behind it, as one: every kind has its output channels on the last axis."""
    scale, bias = affine.arrays["scale"], affine.arrays["bias"]
    kernel = step.arrays["kernel"] * scale
    return dataclasses.replace(step, arrays={"kernel": kernel, "bias": step.arrays["bias"] * scale + bias})
