"""What Orbax says beside what it raises, left out: its threads and loops go on when one of them has failed, and each tells at
length what `checkpoints` says in one line."""

import functools
import logging
import re
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any

_LATE = "Event loop is closed"


@functools.cache
def leave_out() -> None:
    """Leaves it out from now on."""
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    # Of reads that were still under way when another one failed.
    logging.getLogger("asyncio").addFilter(lambda record: not re.search("orbax|tensorstore", record.getMessage()))
    # Of reads that had not yet begun.
    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    uncaught, in_threads, unraisable = sys.excepthook, threading.excepthook, sys.unraisablehook

    def on_uncaught(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
        # TensorStore's own threads tell here that a loop which has ended does not take their results.
        if str(error) != _LATE or threading.current_thread() is threading.main_thread():
            uncaught(kind, error, frames)

    def on_thread(arguments: Any) -> None:
        if not _of_orbax(arguments.exc_traceback):
            in_threads(arguments)

    def on_unraisable(arguments: Any) -> None:
        code = getattr(arguments.object, "cr_code", None)
        if not (code and "orbax" in code.co_filename) and str(arguments.exc_value) != _LATE:
            unraisable(arguments)

    sys.excepthook, threading.excepthook, sys.unraisablehook = on_uncaught, on_thread, on_unraisable


def _of_orbax(frames: TracebackType | None) -> bool:
    return any("orbax" in frame.filename for frame in traceback.extract_tb(frames))
