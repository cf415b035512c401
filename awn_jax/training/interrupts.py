"""Stopping a run between two steps."""

import signal
import threading
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """Which of some wishes at least one process has; every process of a run must ask at the same time."""
    if jax.process_count() == 1:
        return wishes
    return tuple(multihost_utils.process_allgather(np.array(wishes)).any(0).tolist())


class Interrupts:
    """Notes SIGINT and SIGTERM instead of dying of them; a second one kills as usual.

    Signals are for the main thread: nothing is noted in another one, which the program that started it has to stop.

    Attributes:
        caught: name of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.caught: str | None = None

    def __enter__(self) -> "Interrupts":
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = signal.Signals(number).name
        signal.signal(number, self._before[signal.Signals(number)])
