"""The whole set on every device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from awn_jax.data.feeds.feed import BATCH_AXIS, Feed, replicate
from awn_jax.data.feeds.order import Stream
from awn_jax.data.images import in_memory


class DeviceFeed(Feed):
    """Keeps the images on every device; a step is a row of indices.

    Raises:
        DataError: if an example cannot be read.
    """

    def __init__(self, stream: Stream, mesh: Mesh):
        self._stream = stream
        self._sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXIS))
        images = in_memory(stream.examples)
        self.constants = replicate(images.arrays, mesh)
        self.most_steps = 1 << 20

    def steps(self, start: int, count: int) -> Int[Array, "S B"]:
        rows = np.stack([self._stream.step(step) for step in range(start, start + count)])
        return jax.make_array_from_callback(rows.shape, self._sharding, lambda index: rows[index])

    def batch(self, constants: dict[str, Array], step: Any) -> dict[str, Any]:
        return {name: jnp.take(values, step, axis=0) for name, values in constants.items()}
