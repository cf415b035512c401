"""What a network is for: its losses and its metrics, at many widths at once.

What a task learns from and is scored by are entries of an example: `label` for a class, and whatever arrays of a fixed shape a
source gives beside it, such as `boxes`, `instances` or `points`.

Dimensions: N widths, B examples of a batch.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

Outputs = Array
Targets = Any
Totals = Any
# What one batch adds to a metric that is no sum; a task's own.
Tally = Any


class Metric(NamedTuple):
    """How a metric is shown.

    Attributes:
        title: its name in tables and pictures, with its unit.
        scale: what its values are multiplied with to be shown in that unit.
        digits: after the point.
        area: whether the area under its curve is told too; that of a task's first metric always is.
    """

    title: str
    scale: float
    digits: int
    area: bool = False

    def show(self, value: float) -> str:
        """A value as a table shows it."""
        return f"{self.scale * value:.{self.digits}f}"


class Task(abc.ABC):
    """A subclass says what outputs of a network mean; nothing else in the library does.

    Attributes:
        name: by which a config asks for it.
        metrics: how each is shown, the one that curves are drawn of first; larger is better for that one.
        entries: of an example, which the task takes for targets.
        turns: ascending widths from which on something else is asked than below; as a rule none, see `at`.
    """

    name: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    entries: ClassVar[tuple[str, ...]] = ("label",)
    turns: tuple[float, ...] = ()

    @property
    def metric(self) -> str:
        """The name of the metric that curves are drawn of."""
        return next(iter(self.metrics))

    def named(self, class_names: Sequence[str], point_names: Sequence[str]) -> tuple[str, ...]:
        """What the outputs tell apart, of the names that a set of images gives: its classes, unless a task says otherwise."""
        return tuple(class_names)

    def outputs(self, classes: int) -> int:
        """How many outputs a network has in each place.

        Args:
            classes: how many things it is to tell apart.
        """
        return classes

    def targets(self, examples: Mapping[str, Any]) -> Targets:
        """The targets of a batch of examples: those of the task's entries, by name, unless a task says otherwise."""
        return {name: examples[name] for name in self.entries}

    def at(self, at: Sequence[Any] | Float[Array, " N"]) -> "Task":
        """The task as it is at N widths, for outputs with a leading axis [N]: itself, unless it asks by the width.

        Args:
            at: the widths; numbers, or arrays where they are data.
        """
        return self

    @abc.abstractmethod
    def losses(self, outputs: Outputs, targets: Targets) -> Float[Array, "N B"]:
        """The loss of every example at every width; outputs have leading axes [N, B]."""

    @abc.abstractmethod
    def taught(self, outputs: Outputs, teacher: Outputs) -> Float[Array, "N B"]:
        """The loss of outputs [N, B, …] against a teacher's, [B, …], which learns nothing from it."""

    @abc.abstractmethod
    def start(self, count: int) -> Totals:
        """The totals of N widths before the first batch: arrays that `update` adds to."""

    @abc.abstractmethod
    def update(self, totals: Totals, outputs: Outputs, targets: Targets, counted: Bool[Array, " B"]) -> Totals:
        """Totals with one more batch, of which some examples count; traced."""

    def found(self, outputs: Outputs, targets: Targets) -> Any:
        """What the host must see of the outputs of a batch, where totals are not enough for a metric: a tree of arrays with
        leading axes [N, B], or nothing; traced."""
        return ()

    def tally(self, found: Any, targets: Targets) -> Tally:
        """What a batch adds to such a metric; on the host, and for the examples that count alone.

        Args:
            found: as `found` gave it, as NumPy arrays.
            targets: as `targets` gave them, likewise.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def finish(self, totals: Totals, tallies: Sequence[Tally] = ()) -> dict[str, Float[np.ndarray, " N"]]:
        """The metrics of all widths, by name; from the totals, and from the tallies of all batches where a task makes any."""

    @abc.abstractmethod
    def quality(self, outputs: np.ndarray, targets: Any) -> Float[np.ndarray, "N images"]:
        """How good each output is by the first metric: its mean over examples, where it is one."""

    @abc.abstractmethod
    def answers(self, outputs: np.ndarray, class_names: Sequence[str]) -> Shaped[np.ndarray, "*N"]:
        """Each output in words; from outputs with any leading axes.

        Args:
            outputs: of the network.
            class_names: one for each class, or none.
        """

    @abc.abstractmethod
    def truth(self, targets: Any, class_names: Sequence[str]) -> list[str]:
        """Each target in words, as `answers` says it."""

    def drawn(self, output: Float[np.ndarray, "..."]) -> str:
        """Where the output for one image says that things are: SVG elements, in a picture of 1 × 1 that lies over the image.

        Nothing, unless a task says otherwise.
        """
        return ""

    def drawn_truth(self, target: Any) -> str:
        """The target of one image, drawn likewise."""
        return ""

    @abc.abstractmethod
    def confidence(self, outputs: np.ndarray) -> Float[np.ndarray, "*N"]:
        """How sure each output is, in [0, 1]; from outputs with any leading axes."""
