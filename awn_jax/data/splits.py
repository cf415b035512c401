"""Parts of a set that are held out: drawn by a seed, with the same share of every class."""

import numpy as np
from jaxtyping import Int

from awn_jax.data.checks import DataError


def stratified(
    labels: Int[np.ndarray, " N"], share: float, seed: int, what: str
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " held"]]:
    """Which examples are kept and which are held out.

    The number held out is `share` of all, to the nearest whole; so it is of each class but for rounding: the classes whose
    share is cut off most get one more, until the sum is right. A class keeps at least one example.

    Args:
        labels: of the examples.
        share: in (0, 1), to hold out.
        seed: of the draw.
        what: the setting that the share comes from, for errors.

    Returns:
        Ascending positions, kept and held out.

    Raises:
        DataError: if none would be held out.
    """
    draw = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    exact = share * counts
    held = np.minimum(np.floor(exact + 1e-9).astype(int), counts - 1)
    # Ties are drawn.
    for which in np.lexsort((draw.random(len(classes)), held - exact)):
        if held.sum() >= round(exact.sum()):
            break
        held[which] += held[which] < counts[which] - 1
    if not held.any():
        raise DataError(f"{what} must hold out at least one of {len(labels)} examples, got {share}")
    chosen = [draw.permutation(np.flatnonzero(labels == label))[:n] for label, n in zip(classes, held, strict=True)]
    out = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), out), out
