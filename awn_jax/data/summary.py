"""What a run keeps of its training images: a fingerprint, and the mean and deviation of each plane.

Sets in memory are gone through in chunks, so that there is no second copy of them.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Shaped

from awn_jax.data.examples import Examples
from awn_jax.data.images import ImageSet, in_memory, white

# Numbers in a chunk. That of fingerprints is part of their definition: another one makes other fingerprints.
HASHED, SUMMED = 1 << 24, 1 << 20
# Pictures, of a set that is not in memory, whose moments stand for those of all.
SAMPLED = 4096


def fingerprint(images: Examples) -> str:
    """A digest that two sets share only if they are the same.

    Of pictures it is that of their files, see `Records.fingerprint`. Of arrays it is shared only where images and labels are
    equal, in value, order, type and shape: the SHA-256 of the types, the shapes and the SHA-256 of each chunk, little-endian.
    Names of classes and their number are no part of it. Chunks are hashed in threads: about a second for a gigabyte.

    Returns:
        64 hexadecimal digits.
    """
    if not isinstance(images, ImageSet) or images.identity:
        return images.identity
    whole = hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        for array in images.arrays.values():
            whole.update(f"{array.dtype.newbyteorder('<').str} {array.shape}\n".encode())
            for digest in pool.map(_digest, _chunks(array, HASHED)):
                whole.update(digest)
    return whole.hexdigest()


def sample_moments(examples: Examples) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each plane, on a scale where white is 1.

    Of pictures that are not in memory, up to 4,096 are taken, spread evenly over the set.

    Chunks are summed in double precision and merged as Chan, Golub and LeVeque do ("Updating formulae and a pairwise
    algorithm for computing sample variances", 1979).

    Returns:
        `(mean, std)`, one number for each plane; the deviation of a constant plane is 0.
    """
    if not isinstance(examples, ImageSet):
        chosen = np.unique(np.linspace(0, len(examples) - 1, SAMPLED).astype(int))
        return sample_moments(in_memory(examples.select(chosen)))
    images = examples
    count, mean, squares = 0, np.zeros(images.image_size[-1]), np.zeros(images.image_size[-1])
    for chunk in _chunks(images.images, SUMMED):
        pixels = chunk.reshape(-1, chunk.shape[-1]).astype(np.float64)
        here = pixels.mean(0)
        total = count + len(pixels)
        squares += np.square(pixels - here).sum(0) + np.square(here - mean) * (count * len(pixels) / total)
        mean += (here - mean) * (len(pixels) / total)
        count = total
    scale = white(images.images.dtype)
    return tuple((mean / scale).tolist()), tuple((np.sqrt(squares / count) / scale).tolist())


def _chunks(array: Shaped[np.ndarray, "N ..."], numbers: int) -> Iterator[Shaped[np.ndarray, "M ..."]]:
    rows = max(1, numbers // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _digest(chunk: Shaped[np.ndarray, "..."]) -> bytes:
    flat = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<")).reshape(-1)
    return hashlib.sha256(flat.view(np.uint8).data).digest()
