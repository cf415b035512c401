"""What networks are for, one task a file; nothing outside of this folder knows what an output means."""

from typing import Any

from awn_jax import registry
from awn_jax.tasks.classify import LOSSES, Classification, cross_entropy
from awn_jax.tasks.detect import Detection
from awn_jax.tasks.keypoints import KeyPoints
from awn_jax.tasks.segment import Segmentation
from awn_jax.tasks.task import Metric, Task

TASKS: dict[str, type[Task]] = {kind.name: kind for kind in (Classification, Segmentation, Detection, KeyPoints)}


def make(name: str = Classification.name, loss: str = "cross_entropy", smoothing: float = 0.0) -> Task:
    """A task by name.

    Args:
        name: of `TASKS`, or `module:Class` for one's own, made without arguments.
        loss: of `LOSSES`, or `module:function` for one's own; for `classify`.
        smoothing: of the training labels; for `classify`.

    Raises:
        ValueError: if there is none of that name, or another task is to smooth labels.
    """
    kind: Any = registry.resolve(name, TASKS, "task")
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise ValueError(f"task must be a subclass of awn_jax.tasks.Task, got {name!r}")
    if kind is Classification:
        return Classification(registry.resolve(loss, LOSSES, "train.loss"), smoothing)
    if smoothing:
        raise ValueError(
            f"train.label_smoothing must be 0 for task {name!r}, which has labels of its own, got {smoothing}"
        )
    return kind()


__all__ = [
    "LOSSES",
    "TASKS",
    "Classification",
    "Detection",
    "KeyPoints",
    "Metric",
    "Segmentation",
    "Task",
    "cross_entropy",
    "make",
]
