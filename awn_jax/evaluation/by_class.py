"""How often a network is right about the images of each class: what a mean over all images hides.

Dimensions: N widths, K classes.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from awn_jax import files
from awn_jax.data import Examples, Preparation
from awn_jax.evaluation.outputs import affordable, outputs_at
from awn_jax.models import AnyWidthNetwork
from awn_jax.tasks import Task

BALANCED = "balanced accuracy"


class ByClass(NamedTuple):
    """Accuracy of each class.

    Attributes:
        widths: N of them.
        names: of the K classes that have images.
        images: how many each has.
        accuracy: share of them that is right.
    """

    widths: tuple[float, ...]
    names: tuple[str, ...]
    images: Int[np.ndarray, " K"]
    accuracy: Float[np.ndarray, "N K"]

    @property
    def balanced(self) -> Float[np.ndarray, " N"]:
        """The mean over classes, each of which counts alike however many images it has."""
        return self.accuracy.mean(1)

    def rows(self) -> list[tuple[str, int, list[float]]]:
        """Name, images and accuracy at each width, of one class after another; the mean over classes last."""
        images = [*self.images.tolist(), int(self.images.sum())]
        accuracy = np.concatenate([self.accuracy, self.balanced[:, None]], 1).T.tolist()
        return list(zip((*self.names, BALANCED), images, accuracy, strict=True))


def by_class(
    model: AnyWidthNetwork, data: Examples, preparation: Preparation, at: Sequence[float], task: Task
) -> ByClass:
    """Scores a network on the images of each class.

    Args:
        model: the network.
        data: images; only the first ones where the outputs of all would not fit in memory, see `outputs.affordable`.
        preparation: normalisation.
        at: N ascending widths.
        task: of classes, whose first metric says what is right.
    """
    data = affordable(model, data, len(at))
    asked, targets = task.at(at), task.targets(data.gathered(task.entries))
    right = asked.quality(outputs_at(model, data, preparation, at), targets)
    words = np.array(asked.truth(targets, task.named(data.class_names, data.point_names)))
    # In the order of the classes' numbers, which two classes of one name share.
    names = tuple(dict.fromkeys(words[np.argsort(targets, kind="stable")].tolist()))
    among = [words == name for name in names]
    accuracy = np.stack([right[:, where].mean(1) for where in among], 1)
    return ByClass(tuple(at), names, np.array([where.sum() for where in among]), accuracy)


def table(found: ByClass) -> str:
    """A readable table in %, one line for each class."""
    wide = max(len(name) for name, _, _ in found.rows())
    lines = [f"{'class':<{wide}}  {'images':>7}" + "".join(f"  {width:7.4f}" for width in found.widths)]
    for name, images, accuracy in found.rows():
        lines.append(f"{name:<{wide}}  {images:7,d}" + "".join(f"  {100 * value:7.2f}" for value in accuracy))
    return "\n".join(lines)


def write(found: ByClass, path: pathlib.Path) -> None:
    """Writes a CSV file, one line for each class, one column for each width."""
    heads = ["class", "images", *(f"{width:g}" for width in found.widths)]
    files.write_csv(path, [heads, *([name, images, *accuracy] for name, images, accuracy in found.rows())])
