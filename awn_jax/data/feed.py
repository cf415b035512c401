"""Which images make up each training step, and how they reach the devices.

The order is a pure function of seed and step, so that the step alone is the position in the data.
"""

import abc
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int, Num

from awn_jax.data.images import ImageSet

BATCH_AXIS = "data"
DEVICE_BYTES = 2 << 30


def data_mesh() -> Mesh:
    """All devices of all hosts in a row, along the batch."""
    return jax.make_mesh((jax.device_count(),), (BATCH_AXIS,), axis_types=(AxisType.Auto,))


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> Int[np.ndarray, " N"]:
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int32)


def batch_order(seed: int, count: int, batch_size: int, step: int) -> Int[np.ndarray, " B"]:
    """The examples of one step. Every epoch is a fresh permutation; a batch may span two, so no image is left out.

    Args:
        seed: of the permutations.
        count: N, of the images.
        batch_size: B, of all devices and hosts together.
        step: counted from 0.

    Returns:
        Positions in [0, N).
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, within = np.divmod(positions, count)
    order = np.empty(batch_size, np.int32)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        order[here] = _epoch_order(seed, int(epoch), count)[within[here]]
    return order


class Feed(abc.ABC):
    """The batches of a run of steps, as arrays on the devices.

    Attributes:
        constants: arrays that stay on the devices.
    """

    constants: dict[str, Array]

    @abc.abstractmethod
    def steps(self, start: int, count: int) -> Any:
        """A tree of arrays with a leading axis of `count` steps from `start` on; the batch axis is sharded."""

    @abc.abstractmethod
    def batch(self, constants: dict[str, Array], step: Any) -> tuple[Num[Array, "B H W P"], Int[Array, " B"]]:
        """Images and labels of one step, given one row of `steps`; called while tracing."""


def make_feed(data: ImageSet, mesh: Mesh, *, seed: int, batch_size: int, on_device: bool | None = None) -> Feed:
    """The batches of a set of images.

    Args:
        data: the images.
        mesh: devices, with an axis `data` over which each batch is split.
        seed: of the order, 0 or more.
        batch_size: of all devices and hosts together.
        on_device: keep the whole set on every device, so that a step moves only indices; or copy each batch from the host's
            memory, every process its own share. None chooses the device below 2 GiB.

    Raises:
        ValueError: if the seed is negative, or the batch cannot be split evenly over the devices or is larger than the set.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    devices = mesh.shape[BATCH_AXIS]
    if batch_size < 1 or batch_size % devices:
        raise ValueError(f"batch_size must be a positive multiple of the {devices} devices, got {batch_size}")
    if batch_size > len(data):
        raise ValueError(f"batch_size must be at most the {len(data)} training images, got {batch_size}")
    order = functools.partial(batch_order, seed, len(data), batch_size)
    if on_device is None:
        on_device = data.images.nbytes <= DEVICE_BYTES
    return DeviceFeed(data, mesh, order) if on_device else HostFeed(data, mesh, order)


class DeviceFeed(Feed):
    """Keeps the images on every device; a step is a row of indices."""

    def __init__(self, data: ImageSet, mesh: Mesh, order: Callable[[int], np.ndarray]):
        self._order = order
        self._sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXIS))
        self.constants = {
            "images": replicate(data.images, mesh),
            "labels": replicate(data.labels, mesh),
        }

    def steps(self, start: int, count: int) -> Int[Array, "S B"]:
        rows = np.stack([self._order(step) for step in range(start, start + count)])
        return jax.make_array_from_callback(rows.shape, self._sharding, lambda index: rows[index])

    def batch(self, constants: dict[str, Array], step: Any) -> tuple[Num[Array, "B H W P"], Int[Array, " B"]]:
        return jnp.take(constants["images"], step, axis=0), jnp.take(constants["labels"], step, axis=0)


class HostFeed(Feed):
    """Keeps the images in the host's memory; each process copies its own share of every batch."""

    def __init__(self, data: ImageSet, mesh: Mesh, order: Callable[[int], np.ndarray]):
        self._data, self._order = data, order
        self._sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXIS))
        self.constants = {}

    def steps(self, start: int, count: int) -> dict[str, Array]:
        rows = np.stack([self._order(step) for step in range(start, start + count)])

        def place(values: np.ndarray) -> Array:
            shape = (*rows.shape, *values.shape[1:])
            return jax.make_array_from_callback(shape, self._sharding, lambda index: values[rows[(index or ())[:2]]])

        return {"images": place(self._data.images), "labels": place(self._data.labels)}

    def batch(self, constants: dict[str, Array], step: Any) -> tuple[Num[Array, "B H W P"], Int[Array, " B"]]:
        return step["images"], step["labels"]


def once_through(
    data: ImageSet, mesh: Mesh, batch_size: int
) -> Iterator[tuple[Num[Array, "B H W P"], Int[Array, " B"], Bool[Array, " B"]]]:
    """Every image once, in order: images, labels and which of them count, each batch split over the mesh.

    Args:
        data: the images, at least one.
        mesh: devices, with an axis `data`.
        batch_size: at least 1; rounded up to a multiple of the devices. The last batch is filled up with the first images
            again, which do not count.

    Raises:
        ValueError: at the first batch, if there are no images or a batch would hold none.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    if not len(data):
        raise ValueError("data must hold at least one image, got none")
    devices = mesh.shape[BATCH_AXIS]
    batch_size = -(-min(batch_size, len(data)) // devices) * devices
    sharded = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    for start in range(0, len(data), batch_size):
        positions = np.arange(start, start + batch_size)
        chosen = positions % len(data)
        batch = data.images[chosen], data.labels[chosen], positions < len(data)
        images, labels, counted = (jax.device_put(values, sharded) for values in batch)
        yield images, labels, counted


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A tree of arrays with a copy on every device of the mesh, on all hosts."""
    sharding = NamedSharding(mesh, PartitionSpec())

    def place(value: Any) -> Array:
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(value)))
        host = np.asarray(value)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)
