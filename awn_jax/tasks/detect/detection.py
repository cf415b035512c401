"""Objects of some classes, each in a box.

Dimensions: N widths, B examples, M places for objects, h and w cells, K classes, D detections.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from awn_jax.tasks import drawing
from awn_jax.tasks.detect.losses import of_objects, of_teacher, parted
from awn_jax.tasks.detect.matching import Objects, matches
from awn_jax.tasks.detect.precision import MOST_DETECTIONS, average_precision, check_installed
from awn_jax.tasks.detect.suppression import Detections, strongest
from awn_jax.tasks.task import Metric, Task, Totals

# Overlap of two detections of one class, above which they are one.
ALLOWED = 0.6
# Score of what counts as a detection, and of what people are shown.
LEAST, SHOWN = 0.05, 0.4


class Detection(Task):
    """A network gives for each cell of a grid K logits, of which the sigmoid says how well the cell's box fits an object of the
    class, and the box.

    Source: FCOS (Tian et al., 2019), on one level; classes and quality in one, Generalized Focal Loss (Li et al., 2020).
    """

    name: ClassVar[str] = "detect"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "ap50": Metric("AP@.5 %", 100, 2),
        "ap": Metric("AP@[.5:.95] %", 100, 2),
        "loss": Metric("loss", 1, 4),
    }
    entries: ClassVar[tuple[str, ...]] = ("image", "boxes", "categories", "crowd")

    def outputs(self, classes: int) -> int:
        return classes + 4

    def targets(self, examples: Mapping[str, Any]) -> Objects:
        height, width = examples["image"].shape[1:3]
        size = np.asarray([width, height, width, height], np.float32)[None, None]
        return Objects(examples["boxes"] / size, examples["categories"], examples["crowd"])

    def losses(self, outputs: Float[Array, "N B h w K4"], targets: Objects) -> Float[Array, "N B"]:
        return of_objects(outputs, matches(targets, *outputs.shape[2:4]))

    def taught(self, outputs: Float[Array, "N B h w K4"], teacher: Float[Array, "B h w K4"]) -> Float[Array, "N B"]:
        return of_teacher(outputs, teacher)

    def start(self, count: int) -> Totals:
        # Before the work, not after it.
        check_installed()
        return {"loss": jnp.zeros(count), "images": jnp.zeros(())}

    def update(
        self,
        totals: Totals,
        outputs: Float[Array, "N B h w K4"],
        targets: Objects,
        counted: Bool[Array, " B"],
    ) -> Totals:
        losses = jnp.where(counted[None], self.losses(outputs, targets), 0)
        return {
            "loss": totals["loss"] + losses.sum(-1, dtype=totals["loss"].dtype),
            "images": totals["images"] + counted.sum(dtype=totals["images"].dtype),
        }

    def found(self, outputs: Float[Array, "N B h w K4"], targets: Objects) -> Detections:
        return self.detections(outputs)

    def detections(self, outputs: Float[Array, "*N h w K4"]) -> Detections:
        """What is found in each image; traced."""
        logits, boxes = parted(outputs)
        places = outputs.shape[-3] * outputs.shape[-2]
        return strongest(
            boxes.reshape(*boxes.shape[:-3], places, 4),
            jax.nn.sigmoid(logits).reshape(*logits.shape[:-3], places, logits.shape[-1]),
            most=MOST_DETECTIONS,
            allowed=ALLOWED,
            least=LEAST,
        )

    def tally(self, found: Detections, targets: Objects) -> tuple[Detections, Objects]:
        return found, targets

    def finish(self, totals: Totals, tallies: Sequence[Any] = ()) -> dict[str, Float[np.ndarray, " N"]]:
        found = Detections(*(np.concatenate(parts, 1) for parts in zip(*(one for one, _ in tallies), strict=True)))
        objects = Objects(*(np.concatenate(parts) for parts in zip(*(one for _, one in tallies), strict=True)))
        each = [average_precision(Detections(*one), objects) for one in zip(*found, strict=True)]
        return {
            "ap50": np.asarray([one.at_half for one in each]),
            "ap": np.asarray([one.mean for one in each]),
            "loss": np.asarray(totals["loss"], np.float64) / float(totals["images"]),
        }

    def quality(self, outputs: Float[np.ndarray, "N images h w K4"], targets: Objects) -> Float[np.ndarray, "N images"]:
        """The average precision at half overlap of each image by itself, whose mean is not that of the set; of an image without
        objects, whether nothing is shown."""
        found, objects = self._detections(outputs), Objects(*map(np.asarray, targets))
        result: np.ndarray = np.asarray((found.scores < SHOWN).all(-1), np.float64)
        for image in np.flatnonzero((objects.labels >= 0).any(-1)):
            one = slice(image, image + 1)
            truth = Objects(*(values[one] for values in objects))
            for width in range(len(result)):
                result[width, image] = average_precision(Detections(*(v[width, one] for v in found)), truth).at_half
        return result

    def answers(self, outputs: Float[np.ndarray, "*N h w K4"], class_names: Sequence[str]) -> Shaped[np.ndarray, "*N"]:
        found = self._detections(outputs)
        words = [
            _counted(labels[scores >= SHOWN], class_names)
            for labels, scores in zip(*(v.reshape(-1, v.shape[-1]) for v in (found.labels, found.scores)), strict=True)
        ]
        return np.asarray(words).reshape(found.scores.shape[:-1])

    def truth(self, targets: Objects, class_names: Sequence[str]) -> list[str]:
        labels, crowd = np.asarray(targets.labels), np.asarray(targets.crowd)
        return [_counted(one[(one >= 0) & ~many], class_names) for one, many in zip(labels, crowd, strict=True)]

    def confidence(self, outputs: Float[np.ndarray, "*N h w K4"]) -> Float[np.ndarray, "*N"]:
        """The mean score of what is shown; where that is nothing, how far the largest score is from 1."""
        scores = self._detections(outputs).scores
        shown = scores >= SHOWN
        mean = (scores * shown).sum(-1) / np.maximum(shown.sum(-1), 1)
        return np.where(shown.any(-1), mean, 1 - scores.max(-1))

    def drawn(self, output: Float[np.ndarray, "h w K4"]) -> str:
        found = self._detections(output)
        shown = found.scores >= SHOWN
        return _frames(found.boxes[shown], found.labels[shown])

    def drawn_truth(self, target: Objects) -> str:
        shown = target.labels >= 0
        return _frames(target.boxes[shown], target.labels[shown])

    def _detections(self, outputs: np.ndarray) -> Detections:
        return Detections(*map(np.asarray, jax.jit(self.detections)(jnp.asarray(outputs))))


def _frames(boxes: np.ndarray, labels: np.ndarray) -> str:
    edges = zip(*boxes.T.tolist(), labels.tolist(), strict=True)
    return "".join(drawing.box(*one) for one in edges)


def _counted(labels: np.ndarray, class_names: Sequence[str]) -> str:
    """How many there are of each class, in words."""
    kinds, counts = np.unique(labels, return_counts=True)
    named = [class_names[kind] if len(class_names) else f"of class {kind}" for kind in kinds]
    return ", ".join(f"{count} {name}" for count, name in zip(counts, named, strict=True)) or "nothing"
