"""Labelled images by name. A source is a module with a function `read(location, split, data_dir) -> Found`, listed here.

Checks are not a source's affair: `load` makes them, the same for all.
"""

from collections.abc import Callable

from awn_jax.data.checks import DataError
from awn_jax.data.images import ImageSet
from awn_jax.data.sources import digits, npz, tfds
from awn_jax.data.sources.found import Found

__all__ = ["SOURCES", "load"]

# By the form of the names that they read. Any other name is one of TFDS, whose own names may have colons too.
SOURCES: dict[str, Callable[[str, str, str | None], Found]] = {
    "digits": digits.read,
    "npz:PATH": npz.read,
}


def load(name: str, split: str, *, data_dir: str | None = None) -> ImageSet:
    """Reads one split of an image set into memory.

    Args:
        name: `digits` (scikit-learn's handwritten digits, enlarged to 28 × 28), `npz:PATH` (arrays `x_<split>`, `y_<split>`
            and perhaps `class_names`), or the name of a TFDS set, such as `fashion_mnist`.
        split: `train` or `test`, or what the set's author chose; a TFDS set takes TFDS expressions (`train[:90%]`).
        data_dir: where TFDS keeps its prepared sets; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Warns with a `DataWarning` where pixels or labels are likely not what was meant.

    Raises:
        DataError: if the set or split is not there or its arrays are not labelled images.
    """
    prefix, colon, rest = name.partition(":")
    read = {form.partition(":")[:2]: read for form, read in SOURCES.items()}.get((prefix, colon))
    try:
        found = read(rest, split, data_dir) if read else tfds.read(name, split, data_dir)
        return found.checked()
    except tfds.UnknownSetError as error:
        forms = ", ".join(repr(form) for form in SOURCES)
        raise DataError(f"data name {name!r} is neither {forms} nor a TFDS set: {error}") from error
    except MemoryError as error:
        raise DataError(f"{split} of {name} must fit in memory: {error or 'there is not enough'}") from error
