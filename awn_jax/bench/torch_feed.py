"""Batches read by PyTorch's DataLoader: the rival of the project's own feeds, on the same pictures with the same changes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jax.sharding import Mesh

from awn_jax.data import Stream
from awn_jax.data.examples import Example
from awn_jax.data.feeds.feed import BatchFeed


class TorchFeed(BatchFeed):
    """Reads batch after batch from step 0 on, with as many worker processes; there is no going back.

    Raises:
        ModuleNotFoundError: if PyTorch is not installed.
    """

    def __init__(self, stream: Stream, mesh: Mesh, batch_bytes: int, workers: int):
        import torch.utils.data

        super().__init__(stream.batch_size, batch_bytes, mesh)
        loader = torch.utils.data.DataLoader(
            Positions(stream), stream.batch_size, num_workers=workers, multiprocessing_context="spawn"
        )
        self._batches: Iterator[Any] = iter(loader)

    def read(self, step: int, ahead: int) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in next(self._batches).items()}

    def close(self) -> None:
        # A DataLoader ends its workers when its iterator is let go of.
        self._batches = iter(())


class Positions:
    """The examples of a stream as PyTorch asks for them, one by one."""

    def __init__(self, stream: Stream):
        self._stream = stream

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, position: int) -> Example:
        # Copies: PyTorch warns of arrays that may not be written to.
        return {name: np.array(value) for name, value in self._stream.at(position).items()}
