"""What a run tells while it runs: a progress bar on a terminal, lines elsewhere, metrics as JSON lines."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping

from awn_jax import bars, files


class MetricsLog:
    """Appends metrics to a file, one JSON object a line.

    Args:
        path: the file.
        resume_at: lines of later steps are dropped: a run that was cut off writes them again.
    """

    def __init__(self, path: pathlib.Path, resume_at: int):
        kept = []
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                if int(json.loads(line)["step"]) <= resume_at:
                    kept.append(line.decode())
            except (ValueError, KeyError, TypeError, RecursionError):
                # Cut off while it was written, or damaged.
                continue
        files.write_text(path, "".join(line + "\n" for line in kept))
        self._file = path.open("a", buffering=1)

    def write(self, metrics: Mapping[str, float | int]) -> None:
        self._file.write(json.dumps(dict(metrics)) + "\n")

    def close(self) -> None:
        self._file.close()


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
