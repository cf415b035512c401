"""What a network is for: its losses and its metrics, at many widths at once.

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
        turns: ascending widths from which on something else is asked than below; as a rule none, see `at`.
    """

    name: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    turns: tuple[float, ...] = ()

    @property
    def metric(self) -> str:
        """The name of the metric that curves are drawn of."""
        return next(iter(self.metrics))

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

    @abc.abstractmethod
    def finish(self, totals: Totals) -> dict[str, Float[np.ndarray, " N"]]:
        """The metrics of all widths, by name."""

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

    @abc.abstractmethod
    def confidence(self, outputs: np.ndarray) -> Float[np.ndarray, "*N"]:
        """How sure each output is, in [0, 1]; from outputs with any leading axes."""
