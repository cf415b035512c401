"""The task whose outputs are logits of classes for every pixel, or for coarser ones.

Dimensions: N widths, B examples of a batch, H height, W width, h and w of what the network answers for, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Integer, Shaped

from awn_jax.tasks import drawing
from awn_jax.tasks.segment import instances, pixels
from awn_jax.tasks.task import Metric, Task


class Tally(NamedTuple):
    """What a batch adds at N widths.

    Attributes:
        confusion: pixels by true and by predicted class.
        objects: found, not there, missed.
    """

    confusion: Integer[np.ndarray, "N K K"]
    objects: Integer[np.ndarray, "N 3"]


class Segmentation(Task):
    """Each pixel has a class, that of the object that it belongs to; class 0 is the background.

    Where a network answers for coarser pixels, it learns how much of each the classes take, and is scored by its logits
    enlarged to the size of the image.

    Metrics: mean IoU over the classes that there are, the background among them; IoU of all that is no background; share of
    the pixels that are right; and, of objects, TP / (TP + FP + FN), where a predicted object is what hangs together, and found
    (TP) if its IoU with a true one is above ½. All are of the whole set, not means over images.

    Source: of the last, the 2018 Data Science Bowl (Caicedo et al., 2019), whose average precision at a threshold it is.
    """

    name: ClassVar[str] = "segment"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "iou": Metric("mean IoU %", 100, 2),
        "foreground_iou": Metric("foreground IoU %", 100, 2),
        "pixels": Metric("pixels %", 100, 2),
        "object_ap50": Metric("object AP@.5 %", 100, 2),
    }
    entries: ClassVar[tuple[str, ...]] = ("instances", "categories", "crowd")

    def outputs(self, classes: int) -> int:
        return 1 + classes

    def losses(self, outputs: Float[Array, "N B h w K"], targets: Mapping[str, Any]) -> Float[Array, "N B"]:
        """The cross-entropy with the classes' shares of every pixel, its mean over pixels."""
        height, width, classes = outputs.shape[2:]
        shares = pixels.shares(pixels.classes(targets), (height, width), classes)
        return _cross_entropy(outputs, shares)

    def taught(self, outputs: Float[Array, "N B h w K"], teacher: Float[Array, "B h w K"]) -> Float[Array, "N B"]:
        """The cross-entropy with a teacher's soft predictions, its mean over pixels."""
        return _cross_entropy(outputs, jax.nn.softmax(lax.stop_gradient(teacher)))

    def start(self, count: int) -> tuple[()]:
        return ()

    def update(
        self, totals: tuple[()], outputs: Float[Array, "N B h w K"], targets: Any, counted: Bool[Array, " B"]
    ) -> tuple[()]:
        return totals

    def found(self, outputs: Float[Array, "N B h w K"], targets: Mapping[str, Any]) -> Integer[Array, "N B H W"]:
        """The class of every pixel."""
        classes = pixels.enlarged(outputs, targets["instances"].shape[1:]).argmax(-1)
        # As many bytes as are needed on the way to the host.
        return classes.astype(np.min_scalar_type(outputs.shape[-1] - 1))

    def tally(self, found: Integer[np.ndarray, "N B H W"], targets: Mapping[str, Any]) -> Tally:
        truth = np.asarray(pixels.classes(targets))
        # Of classes that a batch does not show, there is nothing to count.
        count = 1 + max(int(found.max(initial=0)), int(truth.max(initial=0)), 1)
        confusion = np.zeros((len(found), count, count), np.int64)
        objects = np.zeros((len(found), 3), np.int64)
        for index, labels in enumerate(truth):
            kinds = np.where(targets["crowd"][index], pixels.IGNORED, targets["categories"][index] + 1)
            true = np.where(labels > 0, targets["instances"][index], 0)
            for n, predicted in enumerate(found[:, index]):
                confusion[n] += instances.confusion(predicted, labels, count)
                objects[n] += instances.matches(*instances.parts(predicted, count), true, kinds, labels >= 0)
        return Tally(confusion, objects)

    def finish(self, totals: tuple[()], tallies: Sequence[Tally] = ()) -> dict[str, Float[np.ndarray, " N"]]:
        count = max(tally.confusion.shape[-1] for tally in tallies)
        confusion = np.stack([_padded(tally.confusion, count) for tally in tallies]).sum(0, np.float64)
        found, wrong, missed = np.stack([tally.objects for tally in tallies]).sum(0, np.float64).T
        return {**_agreement(confusion), "object_ap50": found / np.maximum(found + wrong + missed, 1)}

    def quality(self, outputs: Float[np.ndarray, "N images h w K"], targets: Any) -> Float[np.ndarray, "N images"]:
        """The mean IoU of each image."""
        truth, count = np.asarray(pixels.classes(targets)), outputs.shape[-1]
        return np.stack([self._quality(outputs[:, i], labels, count) for i, labels in enumerate(truth)], 1)

    def _quality(
        self, outputs: Float[np.ndarray, "N h w K"], truth: Integer[np.ndarray, "H W"], count: int
    ) -> Float[np.ndarray, " N"]:
        found = _predicted(outputs, truth.shape)
        return _agreement(np.stack([instances.confusion(one, truth, count) for one in found]).astype(np.float64))["iou"]

    def answers(self, outputs: Float[np.ndarray, "*N h w K"], class_names: Sequence[str]) -> Shaped[np.ndarray, "*N"]:
        found = outputs.argmax(-1).reshape(-1, *outputs.shape[-3:-1])
        names = _names(class_names, outputs.shape[-1])
        words = [_in_words(*instances.parts(one, outputs.shape[-1]), names) for one in found]
        return np.array(words).reshape(outputs.shape[:-3])

    def truth(self, targets: Mapping[str, Any], class_names: Sequence[str]) -> list[str]:
        kinds = np.where(targets["crowd"], 0, np.asarray(targets["categories"]) + 1)
        names = _names(class_names, 1 + int(kinds.max(initial=1)))
        return [_in_words(one, kind, names) for one, kind in zip(targets["instances"], kinds, strict=True)]

    def confidence(self, outputs: Float[np.ndarray, "*N h w K"]) -> Float[np.ndarray, "*N"]:
        """The mean over pixels of the largest softmax probability."""
        return (1 / np.exp(outputs - outputs.max(-1, keepdims=True)).sum(-1)).mean((-2, -1))

    def drawn(self, output: Float[np.ndarray, "h w K"]) -> str:
        """Every pixel in the colour of its class."""
        return drawing.mask(output.argmax(-1))

    def drawn_truth(self, target: Mapping[str, Any]) -> str:
        """The edges of objects."""
        return drawing.mask(np.where(instances.edges(target["instances"]), drawing.WHITE, 0))


def _cross_entropy(outputs: Float[Array, "N B h w K"], shares: Float[Array, "B h w K"]) -> Float[Array, "N B"]:
    whole = jax.nn.logsumexp(outputs, -1)
    total = shares.sum(-1)
    losses = (total[None] * whole).sum((2, 3)) - (shares[None] * outputs).sum((2, 3, 4))
    return losses / jnp.maximum(total.sum((1, 2)), 1)[None]


def _predicted(outputs: Float[np.ndarray, "*N h w K"], size: tuple[int, ...]) -> Integer[np.ndarray, "*N H W"]:
    return np.asarray(pixels.enlarged(jnp.asarray(outputs), (size[0], size[1])).argmax(-1))


def _agreement(confusion: Float[np.ndarray, "N K K"]) -> dict[str, Float[np.ndarray, " N"]]:
    """IoU and share of right pixels, from how many pixels of each true class are predicted as each class."""
    true, predicted, right = confusion.sum(2), confusion.sum(1), np.diagonal(confusion, axis1=1, axis2=2)
    union = true + predicted - right
    pixels_of_all = confusion.sum((1, 2))
    background = pixels_of_all - confusion[:, 0, 0]
    foreground = confusion[:, 1:, 1:].sum((1, 2))
    there = np.maximum((union > 0).sum(1), 1)
    return {
        "iou": (right / np.maximum(union, 1)).sum(1) / there,
        # Where nothing is there and nothing is said to be, all is right.
        "foreground_iou": np.where(background > 0, foreground / np.maximum(background, 1), 1.0),
        "pixels": right.sum(1) / np.maximum(pixels_of_all, 1),
    }


def _padded(confusion: Integer[np.ndarray, "N k k"], count: int) -> Integer[np.ndarray, "N K K"]:
    room = (0, count - confusion.shape[-1])
    return np.pad(confusion, ((0, 0), room, room))


def _names(class_names: Sequence[str], count: int) -> list[str]:
    return list(class_names) or [str(number) for number in range(count - 1)]


def _in_words(numbers: Integer[np.ndarray, "H W"], kinds: Integer[np.ndarray, " P"], names: Sequence[str]) -> str:
    """How many objects of each class there are, and how much of the image they take."""
    of_pixels = np.concatenate([[0], kinds])[numbers]
    there = np.bincount(numbers.reshape(-1), minlength=len(kinds) + 1)[1:] > 0
    told = [
        f"{int((there & (kinds == kind)).sum())} {name} ({100 * (of_pixels == kind).mean():.0f} %)"
        for kind, name in enumerate(names, 1)
        if (of_pixels == kind).any()
    ]
    return ", ".join(told) or "nothing"
