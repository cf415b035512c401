"""How well predicted and true classes agree, and how many objects are found, where objects are what hangs together.

Dimensions: H height, W width, K classes.
"""

import numpy as np
from jaxtyping import Bool, Integer

# An object is found if it shares more than so much of the pixels that either has.
_FOUND = 0.5


def confusion(
    predicted: Integer[np.ndarray, "H W"], truth: Integer[np.ndarray, "H W"], count: int
) -> Integer[np.ndarray, "K K"]:
    """How many pixels of each true class (row) are predicted as each class (column); negative true classes count for nothing.

    Args:
        predicted: of every pixel.
        truth: likewise.
        count: K.
    """
    there = truth >= 0
    pairs = truth[there].astype(np.int64) * count + predicted[there]
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def parts(
    classes: Integer[np.ndarray, "H W"], count: int
) -> tuple[Integer[np.ndarray, "H W"], Integer[np.ndarray, " P"]]:
    """What hangs together by the sides of pixels, of one class each.

    Args:
        classes: of every pixel; 0 is the background.
        count: K.

    Returns:
        For every pixel 0 or 1 + the number of its part, and the class of each part.
    """
    from scipy import ndimage

    numbers = np.zeros(classes.shape, np.int32)
    kinds: list[int] = []
    for kind in range(1, count):
        found, many = ndimage.label(classes == kind)
        numbers = np.where(found > 0, found + len(kinds), numbers)
        kinds += [kind] * many
    return numbers, np.array(kinds, np.int32)


def matches(
    predicted: Integer[np.ndarray, "H W"],
    predicted_kinds: Integer[np.ndarray, " P"],
    truth: Integer[np.ndarray, "H W"],
    true_kinds: Integer[np.ndarray, " T"],
    counted: Bool[np.ndarray, "H W"],
) -> tuple[int, int, int]:
    """Objects that are found, those that are predicted and not there, and those that are missed.

    Two are the same if they are of one class and share more than half of the pixels that either has; no object is the same as
    two others then.

    Args:
        predicted: for every pixel 0 or 1 + the number of its predicted object.
        predicted_kinds: the class of each.
        truth: likewise, of the true ones.
        true_kinds: likewise.
        counted: pixels that count; an object with no other pixels counts for nothing.
    """
    rows, columns = len(true_kinds) + 1, len(predicted_kinds) + 1
    pairs = truth[counted].astype(np.int64) * columns + predicted[counted]
    shared = np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)
    sizes = shared.sum(1)[1:, None], shared.sum(0)[None, 1:]
    both = shared[1:, 1:]
    same = true_kinds[:, None] == predicted_kinds[None]
    found = int(((both > _FOUND * (sizes[0] + sizes[1] - both)) & same).sum())
    return found, int((sizes[1] > 0).sum()) - found, int((sizes[0] > 0).sum()) - found


def edges(numbers: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The pixels of objects that have a side in common with another object or with none."""
    wide = np.pad(numbers, 1, mode="edge")
    around = (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:])
    return (numbers > 0) & np.any([one != numbers for one in around], 0)
