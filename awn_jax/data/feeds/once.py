"""Every example once, in order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool

from awn_jax.data.examples import Example, Examples
from awn_jax.data.feeds.feed import BATCH_AXIS

# What a batch holds by default: images, and pixels of them, planes not counted.
_IMAGES, _PIXELS = 1000, 1 << 22


def usual_batch(image_size: tuple[int, int, int]) -> int:
    """How many images are gone through at a time, where nothing else is said: 1,000, or fewer if they are larger than 64 × 64.

    Args:
        image_size: height and width in pixels, and planes.
    """
    return max(1, min(_IMAGES, _PIXELS // (image_size[0] * image_size[1])))


def once_through(
    data: Examples, mesh: Mesh, batch_size: int | None = None
) -> Iterator[tuple[Example, Bool[Array, " B"]]]:
    """Every example once, in order: a batch of them, and which of them count, split over the mesh.

    Args:
        data: the images, at least one.
        mesh: devices, with an axis `data`.
        batch_size: at least 1; rounded up to a multiple of the devices; None for `usual_batch`. The last batch is filled up
            with the first images again, which do not count.

    Raises:
        ValueError: at the first batch, if there are no images or a batch would hold none.
        DataError: if an image cannot be read.
    """
    batch_size = usual_batch(data.image_size) if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    if not len(data):
        raise ValueError("data must hold at least one image, got none")
    devices = mesh.shape[BATCH_AXIS]
    batch_size = -(-min(batch_size, len(data)) // devices) * devices
    sharded = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    starts = range(0, len(data), batch_size)
    with ThreadPoolExecutor(1) as reader:
        # One batch is read while the one before it is used.
        following = reader.submit(data.batch, np.arange(batch_size) % len(data))
        for start in starts:
            batch, positions = following.result(), np.arange(start, start + batch_size)
            if start != starts[-1]:
                following = reader.submit(data.batch, (positions + batch_size) % len(data))
            yield jax.device_put((batch, positions < len(data)), sharded)
