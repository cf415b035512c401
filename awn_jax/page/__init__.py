"""A page with a slider: what a network gives at every width, and which images change their answer.

Dimensions: N widths.
"""

import base64
import html
import importlib.resources
import io
import json
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Num, Shaped

from awn_jax import files
from awn_jax.data import Examples
from awn_jax.evaluation.outputs import affordable, outputs_at
from awn_jax.evaluation.sweep import Row, Sweep
from awn_jax.models import AnyWidthNetwork
from awn_jax.run import Run
from awn_jax.tasks import Task
from awn_jax.widths import spread

# Of a network of very many sub-networks, the slider has so many; the examples are chosen from so many images.
MOST_WIDTHS, MOST_IMAGES = 64, 2000


def write_run(
    path: pathlib.Path,
    run: Run,
    model: AnyWidthNetwork,
    step: int,
    sweep: Sweep,
    images: Examples,
    latencies: tuple[Mapping[float, float], str],
) -> None:
    """Writes the page of a run.

    Args:
        path: of the page.
        run: whose name, task and images it shows.
        model: the network.
        step: of its checkpoint.
        sweep: of the images.
        images: that were swept.
        latencies: milliseconds for one image by width, and on what machine, see `profile.latencies`.
    """
    rows = spread(sweep.rows, MOST_WIDTHS)
    shown = affordable(model, images.take(MOST_IMAGES), len(rows))
    outputs = outputs_at(model, shown, run.preparation, [row.width for row in rows])
    times, machine = latencies
    few = f" Examples are from the first {len(shown):,}." if len(shown) < len(images) else ""
    about = (
        f"{len(images):,} images of {run.config.data.name}, step {step}. Every width is part of the same network.{few} "
        f"Latency: {machine}."
    )
    title = f"{files.readable(run.folder.resolve().name)}: one network, {len(sweep.rows):,} widths"
    write(path, run.task, rows, shown, outputs, title=title, about=about, latency_ms=times)


def write(
    path: pathlib.Path,
    task: Task,
    rows: Sequence[Row],
    images: Examples,
    outputs: Float[np.ndarray, "N images ..."],
    *,
    title: str,
    about: str = "",
    latency_ms: Mapping[float, float] | None = None,
    samples: int = 18,
) -> None:
    """Writes one self-contained page.

    Args:
        path: of the page.
        task: what the outputs mean.
        rows: of a sweep, N widths.
        images: to choose examples from.
        outputs: of every image at the N widths.
        title: of the page.
        about: one line below it.
        latency_ms: by width; widths that it lacks are shown as not measured.
        samples: how many images to show.

    Raises:
        ValueError: if `outputs` are not of these widths and images.
    """
    if outputs.shape[:2] != (len(rows), len(images)):
        raise ValueError(f"outputs must be of {len(rows)} widths and {len(images)} images, got shape {outputs.shape}")
    asked, names = task.at([row.width for row in rows]), task.named(images.class_names, images.point_names)
    targets = task.targets(images.gathered(task.entries))
    answers, truth = asked.answers(outputs, names), asked.truth(targets, names)
    confidence, quality = asked.confidence(outputs), asked.quality(outputs, targets)
    measured = latency_ms or {}
    content = {
        "about": about,
        "metrics": [{"name": name, **metric._asdict()} for name, metric in task.metrics.items()],
        "rows": [
            {
                "width": row.width,
                "params": row.params,
                "macs": row.macs,
                "metrics": row.metrics,
                "latency_ms": measured.get(row.width),
            }
            for row in rows
        ],
        "samples": [
            {
                "number": int(i),
                "truth": truth[i],
                "drawn": task.drawn_truth(jax.tree.map(lambda values, i=i: np.asarray(values[i]), targets)),
                "image": _picture(images.example(int(i))["image"]),
                "answers": [
                    [
                        str(answers[n, i]),
                        round(float(confidence[n, i]), 4),
                        round(float(quality[n, i]), 4),
                        task.drawn(outputs[n, i]),
                    ]
                    for n in range(len(rows))
                ],
            }
            for i in choose(answers, samples)
        ],
    }
    # In a script element, only "<" could end it.
    filled = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    template = importlib.resources.files("awn_jax.page").joinpath("page.html").read_text(encoding="utf-8")
    files.write_text(path, string.Template(template).substitute(title=html.escape(title), data=filled))


def choose(answers: Shaped[np.ndarray, "N images"], count: int) -> Int[np.ndarray, " chosen"]:
    """The images to show: up to half are those whose answer changes most often with the width, the others come as they are.

    Args:
        answers: in words, by width.
        count: how many at most.
    """
    changes = (answers[1:] != answers[:-1]).sum(0)
    by_changes = np.argsort(-changes, kind="stable")
    changing = by_changes[: min(int((changes > 0).sum()), count // 2)]
    others = np.setdiff1d(np.arange(answers.shape[1]), changing)[: count - len(changing)]
    return np.concatenate([changing, others])


def _picture(image: Num[np.ndarray, "H W P"]) -> str:
    """A PNG as a data address; of images that are neither grey nor coloured, the first plane."""
    import matplotlib.image

    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-9)).astype(np.uint8)
    file = io.BytesIO()
    shown: Any = image if image.shape[-1] == 3 else image[..., 0]
    matplotlib.image.imsave(file, shown, cmap="gray", vmin=0, vmax=255, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
