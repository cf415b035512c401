"""scikit-learn's 1,797 handwritten digits, enlarged to 28 × 28: nothing to download."""

from typing import Any

import numpy as np

from awn_jax.data.checks import DataError
from awn_jax.data.sources.found import Found, Request

# Which share of the digits is held out, and the seed that says which.
TEST_SHARE, SEED = 5, 0
SIZE = 28


def read(request: Request) -> Found:
    """Reads the digits.

    Args:
        request: its split is `train` or `test`.

    Raises:
        DataError: if there is no such split.
    """
    # Imported where they are used: it takes a second, and only this set needs them.
    import scipy.ndimage
    import sklearn.datasets

    split = request.split
    if split not in ("train", "test"):
        raise DataError(f"split of digits must be 'train' or 'test', got {split!r}")
    bunch: Any = sklearn.datasets.load_digits()
    order = np.random.default_rng(SEED).permutation(len(bunch.target))
    held_out = len(order) // TEST_SHARE
    chosen = order[:held_out] if split == "test" else order[held_out:]
    zoom = SIZE / bunch.images.shape[1]
    large = scipy.ndimage.zoom(bunch.images[chosen], (1, zoom, zoom), order=1, grid_mode=True, mode="nearest")
    images = np.clip(np.rint(large * (255 / 16)), 0, 255).astype(np.uint8)
    names = tuple(str(name) for name in bunch.target_names)
    return Found(
        images, bunch.target[chosen], ("images of digits", "labels of digits"), classes=len(names), class_names=names
    )
