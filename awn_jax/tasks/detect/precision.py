"""Average precision as the field computes it: by pycocotools.

Dimensions: B images.
"""

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from awn_jax.errors import UserError
from awn_jax.tasks.detect.matching import Objects
from awn_jax.tasks.detect.suppression import Detections

# What COCO scores of an image.
MOST_DETECTIONS = 100


@dataclasses.dataclass(frozen=True)
class Precision:
    """Means over the classes that the images have.

    Attributes:
        at_half: average precision where boxes must overlap by half.
        mean: its mean over the overlaps .5, .55, …, .95.
    """

    at_half: float
    mean: float


def check_installed() -> None:
    """Raises UserError unless the `pycocotools` package is installed."""
    if importlib.util.find_spec("pycocotools") is None:
        raise UserError("average precision needs the pycocotools package: pip install 'awn-jax[coco]'")


def average_precision(found: Detections, objects: Objects) -> Precision:
    """The average precision of detections, of objects of all sizes; 0 of images without any object.

    Args:
        found: in B images, as NumPy arrays; boxes are in any unit that is one image's own.
        objects: in the same images and units, likewise.

    Raises:
        UserError: if pycocotools is not installed.
    """
    check_installed()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    categories = np.unique(objects.labels[(objects.labels >= 0) & ~objects.crowd]).tolist()
    if not categories:
        return Precision(0.0, 0.0)
    truth, answers = COCO(), COCO()
    truth.dataset = _dataset(objects.boxes, objects.labels, objects.labels >= 0, iscrowd=objects.crowd.astype(int))
    answers.dataset = _dataset(found.boxes, found.labels, found.scores > 0, score=found.scores)
    # The package tells of its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        answers.createIndex()
        scores = COCOeval(truth, answers, "bbox")
        scores.params.imgIds = list(range(len(objects.boxes)))
        scores.params.catIds = categories
        scores.params.areaRng, scores.params.areaRngLbl = [[0, np.inf]], ["all"]
        scores.params.maxDets = [MOST_DETECTIONS]
        scores.evaluate()
        scores.accumulate()
    # [overlaps, recalls, classes, sizes, numbers of detections].
    precision = scores.eval["precision"]
    return Precision(float(precision[0].mean()), float(precision.mean()))


def _dataset(boxes: np.ndarray, labels: np.ndarray, there: np.ndarray, **more: np.ndarray) -> dict[str, Any]:
    return {
        "images": [{"id": image} for image in range(len(boxes))],
        "categories": [{"id": int(label)} for label in np.unique(labels[there])],
        "annotations": list(_annotations(boxes, labels, there, more)),
    }


def _annotations(
    boxes: np.ndarray, labels: np.ndarray, there: np.ndarray, more: dict[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    # The package takes an object numbered 0 for none.
    for number, (image, place) in enumerate(np.argwhere(there), 1):
        left, top, right, bottom = boxes[image, place].tolist()
        yield {
            "id": number,
            "image_id": int(image),
            "category_id": int(labels[image, place]),
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": 0,
            **{name: values[image, place].item() for name, values in more.items()},
        }
