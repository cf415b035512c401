"""Batches read by the process that trains."""

from concurrent.futures import Future

import numpy as np
from jax.sharding import Mesh

from awn_jax.data.examples import Example, stacked, threads
from awn_jax.data.feeds.feed import BatchFeed
from awn_jax.data.feeds.order import Stream
from awn_jax.data.images import ImageSet


class HostFeed(BatchFeed):
    """Copies from images in memory; pictures are opened, and transforms run, by threads that are a few batches ahead."""

    def __init__(self, stream: Stream, mesh: Mesh, batch_bytes: int):
        super().__init__(stream.batch_size, batch_bytes, mesh)
        self._stream = stream
        self._begun: dict[int, list[Future[Example]]] = {}

    def read(self, step: int, ahead: int) -> dict[str, np.ndarray]:
        examples = self._stream.examples
        if isinstance(examples, ImageSet) and not self._stream.transforms.host:
            return examples.batch(self._stream.step(step)[self.rows])
        for wanted in range(step, step + ahead + 1):
            if wanted not in self._begun:
                positions = self._stream.positions(wanted)[self.rows].tolist()
                self._begun[wanted] = [threads().submit(self._stream.at, position) for position in positions]
        return stacked([future.result() for future in self._begun.pop(step)])

    def close(self) -> None:
        for futures in self._begun.values():
            for future in futures:
                future.cancel()
        self._begun.clear()
