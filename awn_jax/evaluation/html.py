"""A page with a slider: what a network knows at every width, and which test images change their answer."""

import base64
import html
import io
import json
import pathlib
import string
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from awn_jax.data import ImageSet
from awn_jax.evaluation.page_template import PAGE
from awn_jax.evaluation.sweep import Sweep


def write(
    path: pathlib.Path,
    sweep: Sweep,
    data: ImageSet,
    logits: Float[np.ndarray, "N images classes"],
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
        logits: of every image at the N widths.
        title: of the page.
        about: one line below it.
        latency_ms: by width; widths that it lacks are shown as not measured.
        samples: how many images to show.

    Raises:
        ValueError: if `logits` are not of the sweep's widths and images.
    """
    if logits.shape[:2] != (len(sweep.rows), len(data)):
        raise ValueError(f"logits must be of {len(sweep.rows)} widths and {len(data)} images, got shape {logits.shape}")
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    confidence, answer = (shifted / shifted.sum(-1, keepdims=True)).max(-1), logits.argmax(-1)
    measured = latency_ms or {}
    content = {
        "about": about,
        "rows": [
            {
                "width": row.width,
                "params": row.params,
                "macs": row.macs,
                "top1": row.top1,
                "latency_ms": measured.get(row.width),
            }
            for row in sweep.rows
        ],
        "samples": [
            {
                "number": int(i),
                "label": int(data.labels[i]),
                "image": _picture(data.images[i]),
                "answers": [[int(a), round(float(c), 4)] for a, c in zip(answer[:, i], confidence[:, i], strict=True)],
            }
            for i in choose(answer, data.labels, samples)
        ],
    }
    # In a script element, only "<" could end it.
    filled = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(string.Template(PAGE).substitute(title=html.escape(title), data=filled))


def choose(
    answer: Int[np.ndarray, "N images"], labels: Int[np.ndarray, " images"], count: int
) -> Int[np.ndarray, " chosen"]:
    """The images to show: up to half are those whose answer changes most often with the width, the others come as they are.

    Args:
        answer: classes by width.
        labels: the right ones.
        count: how many at most.
    """
    changes = (answer[1:] != answer[:-1]).sum(0)
    by_changes = np.argsort(-changes, kind="stable")
    changing = by_changes[: min(int((changes > 0).sum()), count // 2)]
    others = np.setdiff1d(np.arange(len(labels)), changing)[: count - len(changing)]
    return np.concatenate([changing, others])


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
