"""What a run tells while it runs: a progress bar on a terminal, lines elsewhere, metrics as JSON lines."""

import json
import pathlib
import sys
import time
import zlib
from collections.abc import Mapping
from typing import Any

from awn_jax import bars, files


def read_metrics(path: pathlib.Path) -> tuple[list[dict[str, Any]], str]:
    """Reads what `MetricsLog` wrote; a line that is damaged, or was cut off while it was written, is left out.

    Args:
        path: of the file, which need not be there.

    Returns:
        The lines, and which are lost, in words, or nothing: each says the step of the one before it.
    """
    lines: list[dict[str, Any]] = []
    lost: list[str] = []
    last, damaged = 0, False
    # What follows the last line's end is no line yet.
    *ended, _ = (path.read_bytes() if path.exists() else b"").split(b"\n")
    for text in ended:
        line = _line(text)
        if line is None:
            damaged = True
            continue
        if (since := line.get("since", last)) != last:
            lost.append(f"between steps {last} and {since}")
        lines.append(line)
        last, damaged = line["step"], False
    if damaged:
        lost.append(f"after step {last}")
    return lines, f"{path} has lost lines {', '.join(lost)}" if lost else ""


class MetricsLog:
    """Appends metrics to a file, one JSON object a line.

    Args:
        path: the file.
        resume_at: lines of later steps are dropped: a run that was cut off writes them again.
        ended: the run has ended at that step.

    Attributes:
        lost: which lines are, of those before that step, in words; or nothing.

    Raises:
        NotWritableError: if it cannot be written.
    """

    def __init__(self, path: pathlib.Path, resume_at: int, *, ended: bool = False):
        self._path = path
        lines, self.lost = read_metrics(path)
        kept = [line for line in lines if line["step"] <= resume_at]
        self._last = kept[-1]["step"] if kept else 0
        if ended and self._last != resume_at and not self.lost:
            self.lost = f"{path} has lost lines after step {self._last}"
        files.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("ab", buffering=0)

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Appends a line with a `step`; the step of the line before it, as `since`, and a checksum are added.

        Raises:
            NotWritableError: if it cannot be written.
        """
        content = {"step": metrics["step"], "since": self._last, **metrics}
        line = (json.dumps({**content, "crc": _crc(content)}) + "\n").encode()
        try:
            written = self._file.write(line)
        except OSError as error:
            raise files.NotWritableError(f"{self._path} cannot be written: {error.strerror}") from error
        if written != len(line):
            raise files.NotWritableError(f"{self._path} cannot be written: the disk is full")
        self._last = int(metrics["step"])

    def close(self) -> None:
        self._file.close()


def _line(text: bytes) -> dict[str, Any] | None:
    """A line of metrics, or None if it is damaged."""
    try:
        line = json.loads(text.decode())
        line = {**line, "step": int(line["step"])}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    # Both are written together: a line that has one of them alone has lost the other's name. Older lines have neither.
    sealed = "crc" in line or "since" in line
    return line if not sealed or line.get("crc") == _crc(line) else None


def _crc(line: Mapping[str, Any]) -> int:
    """A checksum of a line, but for its rate, in which two equal runs differ."""
    kept = {name: value for name, value in line.items() if name not in ("crc", "images_per_second")}
    return zlib.crc32(json.dumps(kept, sort_keys=True).encode())


class Progress:
    """A bar with loss and rate on a terminal or in a notebook; a line every `quiet_seconds` where there is none.

    Args:
        steps: of the whole run.
        done: steps done before.
        quiet_seconds: time between two lines.
        hidden: show nothing.
    """

    def __init__(self, steps: int, done: int, *, quiet_seconds: float = 20.0, hidden: bool = False):
        self._steps, self._done, self._quiet, self._hidden = steps, done, quiet_seconds, hidden
        self._bar = bars.bar(shown=not hidden, total=steps, initial=done, unit="step", dynamic_ncols=True)
        self._since, self._from = time.monotonic(), done

    def advance(self, count: int, loss: float) -> None:
        self._done += count
        self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self._bar.update(count)
        elapsed = time.monotonic() - self._since
        if self._bar.disable and not self._hidden and elapsed >= self._quiet:
            rate = (self._done - self._from) / elapsed
            left = (self._steps - self._done) / rate / 60
            print(
                f"step {self._done}/{self._steps}  loss {loss:.4f}  {rate:.1f} steps/s  {left:.1f} min left", flush=True
            )
            self._since, self._from = time.monotonic(), self._done

    def close(self) -> None:
        self._bar.close()


def banner(text: str) -> None:
    """Says what comes next."""
    print(f"── {text}", file=sys.stdout, flush=True)
