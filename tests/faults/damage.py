"""Files with one bit flipped."""

import contextlib
import pathlib
import random
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def flipped(path: pathlib.Path, bit: int) -> Iterator[None]:
    """Flips a bit of a file, and puts it back afterwards."""
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(content)


def bits(paths: Sequence[pathlib.Path], count: int, draw: random.Random) -> Iterator[tuple[pathlib.Path, int]]:
    """Draws bits of files: every third time the next file, so that small ones are met, else files by their sizes."""
    sizes = [path.stat().st_size for path in paths]
    for number in range(count):
        path = paths[number // 3 % len(paths)] if number % 3 == 0 else draw.choices(paths, sizes)[0]
        yield path, draw.randrange(8 * path.stat().st_size)
