"""How batches reach the devices."""

import abc
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

BATCH_AXIS = "data"
# Bytes that one dispatch of several steps may bring along.
_DISPATCH_BYTES = 256 << 20


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Devices in a row, along the batch; all of all hosts if None."""
    count = jax.device_count() if devices is None else len(devices)
    return jax.make_mesh((count,), (BATCH_AXIS,), axis_types=(AxisType.Auto,), devices=devices)


class Feed(abc.ABC):
    """The batches of a run of steps, as arrays on the devices.

    Attributes:
        constants: arrays that stay on the devices.
        most_steps: how many steps may be asked for at once.
    """

    constants: dict[str, Array]
    most_steps: int

    @abc.abstractmethod
    def steps(self, start: int, count: int) -> Any:
        """A tree of arrays with a leading axis of `count` steps from `start` on; the batch axis is sharded.

        Raises:
            DataError: if an example cannot be read.
        """

    @abc.abstractmethod
    def batch(self, constants: dict[str, Array], step: Any) -> dict[str, Any]:
        """The examples of one step, given one row of `steps`, each array with a leading batch axis; called while tracing."""

    def close(self) -> None:  # noqa: B027  as a rule there is nothing to end
        """Ends what the feed has begun; it may be closed twice."""


class BatchFeed(Feed):
    """Brings the batches themselves; every process its own share of each.

    Args:
        batch_size: of all devices and hosts together.
        batch_bytes: of the images of a batch.
        mesh: devices, with an axis `data`.

    Attributes:
        rows: which rows of each batch are this process's.
    """

    def __init__(self, batch_size: int, batch_bytes: int, mesh: Mesh):
        self._sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXIS))
        self._batch_size = batch_size
        parts = self._sharding.addressable_devices_indices_map((1, batch_size)).values()
        self.rows = np.unique(np.concatenate([np.arange(batch_size)[index[1]] for index in parts if index]))
        self.constants = {}
        self.most_steps = max(1, _DISPATCH_BYTES // max(1, batch_bytes))

    @abc.abstractmethod
    def read(self, step: int, ahead: int) -> dict[str, np.ndarray]:
        """This process's rows of a step's examples. It is called step by step; about `ahead` more will follow."""

    def steps(self, start: int, count: int) -> dict[str, Array]:
        batches = [self.read(step, count) for step in range(start, start + count)]

        def place(name: str) -> Array:
            own = np.stack([batch[name] for batch in batches])

            def part(index: tuple[slice, ...] | None) -> np.ndarray:
                assert index is not None  # as it is for devices of this process
                first, stop, _ = index[1].indices(self._batch_size)
                at = int(np.searchsorted(self.rows, first))
                return own[:, at : at + stop - first]

            return jax.make_array_from_callback((count, self._batch_size, *own.shape[2:]), self._sharding, part)

        return {name: place(name) for name in batches[0]}

    def batch(self, constants: dict[str, Array], step: Any) -> dict[str, Any]:
        return step


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A tree of arrays with a copy on every device of the mesh, on all hosts."""
    return place(tree, jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), tree))


def place(tree: Any, shardings: Any) -> Any:
    """A tree of arrays, each brought to the devices of its sharding, on all hosts.

    Args:
        tree: of arrays, which every host has whole.
        shardings: a tree of shardings in the same places.
    """

    def one(value: Any, sharding: Any) -> Array:
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(value), sharding))
        host = np.asarray(value)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(one, tree, shardings)
