"""A page with a slider: what a network knows at every width, and which images change their answer."""

import base64
import html
import importlib.resources
import io
import json
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Num, Shaped

from awn_jax import files
from awn_jax.data import ImageSet
from awn_jax.evaluation.sweep import Sweep
from awn_jax.tasks import Task


def write(
    path: pathlib.Path,
    sweep: Sweep,
    data: ImageSet,
    outputs: Shaped[np.ndarray, "N images ..."],
    task: Task,
    *,
    title: str,
    about: str = "",
    latency_ms: Mapping[float, float] | None = None,
    samples: int = 18,
) -> None:
    """Writes one self-contained page.

    Args:
        path: of the page.
        sweep: of N widths.
        data: the images that were swept.
        outputs: of every image at the N widths.
        task: what they mean.
        title: of the page.
        about: one line below it.
        latency_ms: by width; widths that it lacks are shown as not measured.
        samples: how many images to show.

    Raises:
        ValueError: if `outputs` are not of the sweep's widths and images.
    """
    if outputs.shape[:2] != (len(sweep.rows), len(data)):
        raise ValueError(f"outputs must be of {len(sweep.rows)} widths and {len(data)} images, got {outputs.shape}")
    answers, confidence = task.answers(outputs, data.class_names), task.confidence(outputs)
    right, truth = task.quality(outputs, data.labels) >= 0.5, task.truth(data.labels, data.class_names)
    measured, metric = latency_ms or {}, task.metrics[sweep.metric]
    content = {
        "about": about,
        "metric": metric._asdict(),
        "rows": [
            {
                "width": row.width,
                "params": row.params,
                "macs": row.macs,
                "value": row.metrics[sweep.metric],
                "latency_ms": measured.get(row.width),
            }
            for row in sweep.rows
        ],
        "samples": [
            {
                "number": int(i),
                "label": truth[i],
                "image": _picture(data.images[i]),
                "answers": [
                    [str(a), round(float(c), 4), bool(r)]
                    for a, c, r in zip(answers[:, i], confidence[:, i], right[:, i], strict=True)
                ],
            }
            for i in choose(answers, samples)
        ],
    }
    # In a script element, only "<" could end it.
    filled = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    template = importlib.resources.files("awn_jax.evaluation").joinpath("page.html").read_text(encoding="utf-8")
    files.write_text(path, string.Template(template).substitute(title=html.escape(title), data=filled))


def choose(answers: Shaped[np.ndarray, "N images"], count: int) -> Int[np.ndarray, " chosen"]:
    """The images to show: up to half are those whose answer changes most often with the width, the others come as they are.

    Args:
        answers: by width.
        count: how many at most.
    """
    changes = (answers[1:] != answers[:-1]).sum(0)
    by_changes = np.argsort(-changes, kind="stable")
    changing = by_changes[: min(int((changes > 0).sum()), count // 2)]
    others = np.setdiff1d(np.arange(answers.shape[1]), changing)[: count - len(changing)]
    return np.concatenate([changing, others])


def describe(count: int, name: str, device: str, widths: Sequence[float]) -> str:
    """The line below the title.

    Args:
        count: of the images.
        name: of the image set.
        device: that latency was measured on.
        widths: that were swept.
    """
    return f"{count:,} images of {name}, {len(widths)} widths, all of them part of the same network. Latency: {device}."


def _picture(image: Num[np.ndarray, "H W P"]) -> str:
    """A PNG as a data address."""
    import matplotlib.image

    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-9)).astype(np.uint8)
    file = io.BytesIO()
    shown: Any = image if image.shape[-1] == 3 else image[..., 0]
    matplotlib.image.imsave(file, shown, cmap="gray", vmin=0, vmax=255, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
