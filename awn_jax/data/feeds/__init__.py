"""Which examples make up each training step, and how they reach the devices.

The order is a pure function of seed and step, so that the step alone is the position in the data, whichever feed brings them.
"""

from typing import Literal

import jax
import numpy as np
from jax.sharding import Mesh

from awn_jax import hardware
from awn_jax.data.examples import Examples
from awn_jax.data.feeds.device import DeviceFeed
from awn_jax.data.feeds.feed import BATCH_AXIS, Feed, data_mesh, place, replicate
from awn_jax.data.feeds.host import HostFeed
from awn_jax.data.feeds.once import once_through, usual_batch
from awn_jax.data.feeds.order import Stream
from awn_jax.data.feeds.workers import WorkerFeed
from awn_jax.data.images import LARGE, ImageSet
from awn_jax.data.transforms import UNCHANGED, Transforms

__all__ = [
    "BATCH_AXIS",
    "Feed",
    "Kind",
    "Stream",
    "data_mesh",
    "make_feed",
    "once_through",
    "place",
    "replicate",
    "usual_batch",
]

Kind = Literal["auto", "device", "host", "grain"]


def make_feed(
    data: Examples,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    transforms: Transforms = UNCHANGED,
    kind: Kind = "auto",
    workers: int = 0,
) -> Feed:
    """The batches of a set of images; which feed brings them changes nothing in them.

    Args:
        data: the images.
        mesh: devices, with an axis `data` over which each batch is split.
        seed: of the order and of the transforms of pictures, 0 or more.
        batch_size: of all devices and hosts together.
        transforms: of which those where images are read are applied by the feed.
        kind: `device` keeps the whole set on every device, so that a step moves only indices; `host` reads each batch in this
            process, `grain` in worker processes; every process of a run reads its own share. `auto` is the device below 2 GiB
            and with no transform where images are read; else workers for pictures in files, and the host for images in memory.
        workers: worker processes of `grain`; 0 for one for each processor that this process may use.

    Raises:
        ValueError: if the seed is negative, the batch cannot be split evenly over the devices or is larger than the set, or
            transforms of pictures are asked for where the set is on the devices.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    devices = mesh.shape[BATCH_AXIS]
    if batch_size < 1 or batch_size % devices:
        raise ValueError(f"batch_size must be a positive multiple of the {devices} devices, got {batch_size}")
    if batch_size > len(data):
        raise ValueError(f"batch_size must be at most the {len(data)} training images, got {batch_size}")
    stream = Stream(data, transforms, seed, batch_size)
    if kind == "auto":
        small = data.nbytes <= LARGE and not transforms.host and jax.process_count() == 1
        kind = "device" if small else "host" if isinstance(data, ImageSet) else "grain"
    if kind == "device":
        if transforms.host:
            raise ValueError(
                "feed must be 'host' or 'grain' where images are transformed as they are read, got 'device'"
            )
        return DeviceFeed(stream, mesh)
    batch_bytes = int(np.prod(data.image_size)) * batch_size
    if kind == "host":
        return HostFeed(stream, mesh, batch_bytes)
    return WorkerFeed(stream, mesh, batch_bytes, workers or hardware.processors())
