"""What networks are for, one task a file; nothing outside of this folder knows what an output means."""

from typing import Any

from awn_jax import registry, widths
from awn_jax.tasks.classify import LOSSES, Classification, cross_entropy
from awn_jax.tasks.detect import Detection
from awn_jax.tasks.hierarchy import HIERARCHIES, Hierarchy
from awn_jax.tasks.keypoints import KeyPoints
from awn_jax.tasks.segment import Segmentation
from awn_jax.tasks.task import Metric, Task
from awn_jax.tasks.taxonomy import Taxonomy

TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Classification, Taxonomy, Segmentation, Detection, KeyPoints)
}


def find(name: str) -> type[Task]:
    """The class of a task.

    Args:
        name: of `TASKS`, or `module:Class` for one's own.

    Raises:
        ValueError: if there is none of that name.
    """
    kind: Any = registry.resolve(name, TASKS, "task")
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise ValueError(f"task must be a subclass of awn_jax.tasks.Task, got {name!r}")
    return kind


def make(
    name: str = Classification.name,
    loss: str = "cross_entropy",
    smoothing: float = 0.0,
    hierarchy: Hierarchy | None = None,
    fine_from: widths.Width = 0.5,
) -> Task:
    """A task by name.

    Args:
        name: see `find`; one's own is made without arguments.
        loss: of `LOSSES`, or `module:function` for one's own; for `classify` and `taxonomy`.
        smoothing: of the training labels; likewise.
        hierarchy: of the classes, for `taxonomy`.
        fine_from: likewise, see `Taxonomy`.

    Raises:
        ValueError: if there is none of that name, another task is to smooth labels, or `taxonomy` has no hierarchy.
    """
    kind = find(name)
    if kind is Classification:
        return Classification(registry.resolve(loss, LOSSES, "train.loss"), smoothing)
    if kind is Taxonomy:
        if hierarchy is None:
            raise ValueError(f"task {name!r} needs a hierarchy of the classes, got none")
        return Taxonomy(hierarchy, fine_from, registry.resolve(loss, LOSSES, "train.loss"), smoothing)
    if smoothing:
        raise ValueError(
            f"train.label_smoothing must be 0 for task {name!r}, which has labels of its own, got {smoothing}"
        )
    return kind()


__all__ = [
    "HIERARCHIES",
    "LOSSES",
    "TASKS",
    "Classification",
    "Detection",
    "Hierarchy",
    "KeyPoints",
    "Metric",
    "Segmentation",
    "Task",
    "Taxonomy",
    "cross_entropy",
    "find",
    "make",
]
