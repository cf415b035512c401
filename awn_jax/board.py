"""TensorBoard's event files: the only file that knows tensorboardX, which writes them without TensorFlow."""

import importlib.util
import pathlib
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from awn_jax import files, widths
from awn_jax.errors import UserError
from awn_jax.evaluation import Sweep, report

# Of the widths whose values are followed over the steps.
FOLLOWED = 8


class BoardError(UserError):
    """tensorboardX is not installed."""


def check_installed() -> None:
    """Raises BoardError, which says how to get it, if tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise BoardError(
            "log.tensorboard=true needs tensorboardX, which is not installed: pip install 'awn-jax[tensorboard]'"
        )


class Board:
    """Writes a folder of event files, which TensorBoard shows as one run.

    Args:
        folder: made if it is not there.
        resume_at: events of later steps, which an earlier process has written there, are dropped; it writes them again.

    Raises:
        BoardError: if tensorboardX is not installed.
    """

    def __init__(self, folder: pathlib.Path, resume_at: int):
        check_installed()
        import tensorboardX

        earlier = sorted(folder.glob("*tfevents*"))
        for path in earlier:
            _drop(path, resume_at)
        # A file of its own, since two processes may begin within a second; a TensorBoard that is running hides what it has
        # read of the later steps.
        purge = resume_at + 1 if earlier else None
        self._writer = tensorboardX.SummaryWriter(
            str(folder), purge_step=purge, filename_suffix=f".{time.time_ns()}", flush_secs=10
        )

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        """Writes numbers by their names."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def curve(self, step: int, sweep: Sweep) -> None:
        """Writes a sweep: each metric at some of its widths, the area under the curve, and the curve as a picture."""
        self.numbers(step, {"auc": sweep.auc, "mean10": sweep.mean10})
        for name in sweep.rows[0].metrics:
            self.numbers(
                step, at_widths(name, [row.width for row in sweep.rows], [row.metrics[name] for row in sweep.rows])
            )
        self._writer.add_image("curve", _pixels(report.figure({f"step {step}": sweep})), step, dataformats="HWC")

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()


def at_widths(name: str, at: Any, values: Any) -> dict[str, float]:
    """Values at some evenly spaced ones of the given widths, named so that TensorBoard puts them together."""
    followed = set(widths.spread(list(at), FOLLOWED))
    return {f"{name}/{width:.4f}": float(value) for width, value in zip(at, values, strict=True) if width in followed}


def _pixels(figure: Any) -> np.ndarray:
    """A figure of Matplotlib's as an image, [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _drop(path: pathlib.Path, after: int) -> None:
    """Drops the events of later steps from a file, and what was cut off while it was written."""
    from tensorboardX.proto.event_pb2 import Event

    content = path.read_bytes()
    kept = b"".join(record for record, event in records(content) if Event.FromString(event).step <= after)
    if kept != content:
        files.write_bytes(path, kept)


def records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a file of TensorFlow's, and what each holds: its length and a checksum stand in front, another behind."""
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length + 4
        if end > len(content):
            return
        yield content[start:end], content[start + 12 : end - 4]
        start = end
