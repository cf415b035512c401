"""The key points of one object in each image.

Dimensions: N widths, B examples, M places for objects, K key points, h and w cells.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from awn_jax.tasks import drawing
from awn_jax.tasks.keypoints.heatmaps import cross_entropy, heat, located
from awn_jax.tasks.task import Metric, Task, Totals

# A key point is found if it is off by less than this share of the longer side of its object's box.
CLOSE = 0.1


class Truth(NamedTuple):
    """Of the object of each image.

    Attributes:
        places: (x, y) of its key points in shares of the image.
        there: which of them are in the image.
        unit: width and height of the image in pixels of the picture as it was written.
        close: in such pixels, how far off a key point may be to be found.
    """

    places: Float[Array, "B K 2"]
    there: Bool[Array, "B K"]
    unit: Float[Array, "B 2"]
    close: Float[Array, " B"]


class KeyPoints(Task):
    """A network gives K logits for each cell of a grid; their softmax over all cells says where each key point is.

    Of several objects in an image, the one with the largest box counts.
    """

    name: ClassVar[str] = "keypoints"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "pck": Metric("PCK@.1 %", 100, 2),
        "error": Metric("error px", 1, 2),
        "loss": Metric("loss", 1, 4),
    }
    entries: ClassVar[tuple[str, ...]] = ("image", "points", "boxes", "categories", "frame")

    def named(self, class_names: Sequence[str], point_names: Sequence[str]) -> tuple[str, ...]:
        return tuple(point_names)

    def targets(self, examples: Mapping[str, Any]) -> Truth:
        height, width = examples["image"].shape[1:3]
        points, boxes, categories, frame = (examples[name] for name in self.entries[1:])
        return truth_of(points, boxes, categories, frame, (height, width))

    def losses(self, outputs: Float[Array, "N B h w K"], targets: Truth) -> Float[Array, "N B"]:
        shares = heat(targets.places, *outputs.shape[2:4])
        return _mean(cross_entropy(outputs, shares[None]), targets.there[None])

    def taught(self, outputs: Float[Array, "N B h w K"], teacher: Float[Array, "B h w K"]) -> Float[Array, "N B"]:
        shares = jax.nn.softmax(lax.stop_gradient(teacher), (-3, -2))
        return cross_entropy(outputs, shares[None]).mean(-1)

    def start(self, count: int) -> Totals:
        return {name: jnp.zeros(count) for name in self.metrics} | {"points": jnp.zeros(()), "images": jnp.zeros(())}

    def update(
        self, totals: Totals, outputs: Float[Array, "N B h w K"], targets: Truth, counted: Bool[Array, " B"]
    ) -> Totals:
        off, there = self.errors(outputs, targets), targets.there & counted[:, None]
        losses = jnp.where(counted[None], self.losses(outputs, targets), 0)
        added = {
            "pck": (there[None] & (off < targets.close[None, :, None])).sum((1, 2)),
            "error": jnp.where(there[None], off, 0).sum((1, 2)),
            "loss": losses.sum(-1),
            "points": there.sum(),
            "images": counted.sum(),
        }
        return {name: total + added[name].astype(total.dtype) for name, total in totals.items()}

    def errors(self, outputs: Float[Array, "N B h w K"], targets: Truth) -> Float[Array, "N B K"]:
        """How far off each key point is, in pixels of the picture as it was written."""
        off = located(outputs)[0] - targets.places[None]
        return jnp.sqrt(jnp.square(off * targets.unit[None, :, None]).sum(-1))

    def finish(self, totals: Totals, tallies: Sequence[Any] = ()) -> dict[str, Float[np.ndarray, " N"]]:
        counts = {"pck": "points", "error": "points", "loss": "images"}
        return {name: np.asarray(totals[name], np.float64) / max(float(totals[of]), 1) for name, of in counts.items()}

    def quality(self, outputs: Float[np.ndarray, "N images h w K"], targets: Truth) -> Float[np.ndarray, "N images"]:
        off, there = np.asarray(self.errors(jnp.asarray(outputs), targets)), np.asarray(targets.there)
        found = (off < np.asarray(targets.close)[:, None]) & there
        return found.sum(-1) / np.maximum(there.sum(-1), 1)

    def answers(self, outputs: Float[np.ndarray, "*N h w K"], class_names: Sequence[str]) -> Shaped[np.ndarray, "*N"]:
        places = np.asarray(located(jnp.asarray(outputs))[0])
        words = [_told(one, np.ones(len(one), bool), class_names) for one in places.reshape(-1, *places.shape[-2:])]
        return np.asarray(words).reshape(places.shape[:-2])

    def truth(self, targets: Truth, class_names: Sequence[str]) -> list[str]:
        both = zip(np.asarray(targets.places), np.asarray(targets.there), strict=True)
        return [_told(places, there, class_names) for places, there in both]

    def drawn(self, output: Float[np.ndarray, "h w K"]) -> str:
        return _dots(np.asarray(located(jnp.asarray(output))[0]), np.ones(output.shape[-1], bool))

    def drawn_truth(self, target: Truth) -> str:
        return _dots(np.asarray(target.places), np.asarray(target.there))

    def confidence(self, outputs: Float[np.ndarray, "*N h w K"]) -> Float[np.ndarray, "*N"]:
        """The share of the heat that lies near the places, in the mean over key points."""
        return np.asarray(located(jnp.asarray(outputs))[1].mean(-1))


def truth_of(
    points: Float[Any, "B M K 3"],
    boxes: Float[Any, "B M 4"],
    categories: Shaped[Any, "B M"],
    frame: Float[Any, "B 4"],
    size: tuple[int, int],
) -> Truth:
    """The truth about the object with the largest box in each image.

    Args:
        points: (x, y, whether it is there) of the key points of all objects, in pixels of the image.
        boxes: edges of the objects, likewise.
        categories: of the objects; −1 where a place is empty.
        frame: edges of what the image shows, in pixels of the picture as it was written.
        size: height and width of the image.
    """
    points, boxes, frame = (jnp.asarray(one, jnp.float32) for one in (points, boxes, frame))
    sides = boxes[..., 2:] - boxes[..., :2]
    there = jnp.asarray(categories) >= 0
    which = jnp.where(there, sides.prod(-1), -1).argmax(-1)
    own = jnp.take_along_axis(points, which[:, None, None, None], 1)[:, 0]
    side = jnp.take_along_axis(sides, which[:, None, None], 1)[:, 0]
    unit, pixels = frame[:, 2:] - frame[:, :2], jnp.asarray(size[::-1], jnp.float32)
    close = CLOSE * (side * unit / pixels[None]).max(-1)
    return Truth(own[..., :2] / pixels[None, None], (own[..., 2] > 0) & there.any(-1)[:, None], unit, close)


def _mean(values: Float[Array, "N B K"], there: Bool[Array, "1 B K"]) -> Float[Array, "N B"]:
    return jnp.where(there, values, 0).sum(-1) / jnp.maximum(there.sum(-1, dtype=values.dtype), 1)


def _dots(places: Float[np.ndarray, "K 2"], there: Bool[np.ndarray, " K"]) -> str:
    dots = ((*places[number].tolist(), number) for number in np.flatnonzero(there).tolist())
    return "".join(drawing.point(x, y, number) for x, y, number in dots)


def _told(places: Float[np.ndarray, "K 2"], there: Bool[np.ndarray, " K"], names: Sequence[str]) -> str:
    """Key points in words, with their places in percent of the image's width and height."""
    shown = [
        f"{names[number] if len(names) else number} {100 * x:.0f}/{100 * y:.0f}"
        for number, (x, y) in enumerate(places)
        if there[number]
    ]
    return ", ".join(shown) or "nothing"
