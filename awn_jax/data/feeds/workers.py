"""Batches read by worker processes, with Grain (https://github.com/google/grain)."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import connection
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from awn_jax.data.checks import DataError
from awn_jax.data.examples import Example
from awn_jax.data.feeds.feed import BatchFeed
from awn_jax.data.feeds.order import Stream

# Batches that each worker keeps ready.
_READY = 2


class WorkerFeed(BatchFeed):
    """Has every batch made by one of several worker processes, which take turns.

    The workers begin with the first step that is asked for, and anew where a step is not the one after the last. They end when
    the feed is closed, and by themselves when this process ends.

    Args:
        stream: of examples; workers get copies.
        mesh: devices.
        batch_bytes: of the images of a batch.
        workers: how many.
    """

    def __init__(self, stream: Stream, mesh: Mesh, batch_bytes: int, workers: int):
        super().__init__(stream.batch_size, batch_bytes, mesh)
        self._stream, self._workers = stream, workers
        self._batches: Any = None
        self._next = -1

    def read(self, step: int, ahead: int) -> dict[str, np.ndarray]:
        try:
            with _undisturbed():
                if step != self._next:
                    self.close()
                    self._batches = self._begin(step)
                batch = next(self._batches)
        except DataError:
            self.close()
            raise
        except RuntimeError as error:
            self.close()
            raise DataError(
                f"a worker that reads images has ended: {' '.join(str(error).split())} If a script of your own trains, its "
                "call must stand below `if __name__ == '__main__':`, since workers import it; or set data.feed=host"
            ) from error
        self._next = step + 1
        return batch

    def _begin(self, step: int) -> Any:
        # Imported where they are used: it takes a second.
        import grain
        from absl import flags

        # Grain reads flags of its own, which a program that has no absl flags never parses.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        batches = grain.MapDataset.source(_Rows(self._stream, self.rows, step)).batch(len(self.rows))
        one = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
        options = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=_READY)
        return iter(batches.to_iter_dataset(one).mp_prefetch(options, worker_init_fn=_begin_worker))

    def close(self) -> None:
        if self._batches is not None:
            self._batches.close()
        self._batches, self._next = None, -1


class _Rows:
    """One process's rows of batch after batch, from a step on, as Grain reads them."""

    def __init__(self, stream: Stream, rows: Int[np.ndarray, " R"], start: int):
        self._stream, self._rows, self._start = stream, rows, start

    def __len__(self) -> int:
        return sys.maxsize // len(self._rows) * len(self._rows)

    def __getitem__(self, number: int) -> Example:
        step, row = divmod(number, len(self._rows))
        return self._stream.at((self._start + step) * self._stream.batch_size + int(self._rows[row]))


def _begin_worker(number: int, count: int) -> None:
    """Keeps Ctrl-C from a worker, and ends it when the process that it works for has ended, however that came about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keeps Ctrl-C from processes that are begun meanwhile; this one, which decides what it means, hears of it at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
