"""Labelled images by name. A source is a module with a function `read(request)`, listed here.

It gives arrays as it `Found` them, or `Records` of pictures that stay where they lie. Checks and sizes are not a source's
affair: `load` sees to them, the same for all.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tqdm

from awn_jax.data import checks, decoding, geometry
from awn_jax.data.checks import DataError
from awn_jax.data.examples import Examples, threads
from awn_jax.data.photographs import Photographs, Records
from awn_jax.data.sources import coco, digits, folder, npz, tfds
from awn_jax.data.sources.found import Found, Request

__all__ = ["SOURCES", "load"]

# By the form of the names that they read. Any other name is one of TFDS, whose own names may have colons too.
SOURCES: dict[str, Callable[[Request], Found | Records]] = {
    "digits": digits.read,
    "npz:PATH": npz.read,
    "folder:PATH": folder.read,
    "coco:PATH": coco.read,
}


def load(
    name: str,
    split: str,
    *,
    data_dir: str | None = None,
    image_size: tuple[int, ...] = (),
    crop: float | None = 1.0,
    skip_bad: bool = False,
    test_share: float = 0.2,
    seed: int = 0,
    entries: Sequence[str] = ("label",),
    fit: geometry.Fit = "crop",
) -> Examples:
    """One split of an image set: in memory, or, if it is made of pictures in files, opened as they are asked for.

    Args:
        name: `digits` (scikit-learn's handwritten digits, enlarged to 28 × 28), `npz:PATH` (arrays `x_<split>`, `y_<split>`
            and perhaps `class_names`), `folder:PATH` (`<split>/<class>/<picture>` or `<class>/<picture>`), `coco:PATH`
            (`<split>.json` beside `<split>/<picture>`), or the name of a TFDS set, such as `fashion_mnist`.
        split: `train` or `test`, or what the set's author chose; a TFDS set takes TFDS expressions (`train[:90%]`).
        data_dir: where TFDS keeps its prepared sets; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        image_size: height and width in pixels, or one number for both, that images are brought to; and the number of planes,
            if they are to be converted. Empty for their own size, if they share one.
        crop: share of the shorter side that is kept, see `geometry.part`; None if images must have that size already.
        skip_bad: decode all pictures now, and leave out those that cannot be read.
        test_share: of a folder that has no splits, how much of each class is held out as `test`.
        seed: which pictures those are.
        entries: what an example must have beside its image.
        fit: see `geometry.part`.

    Warns with a `DataWarning` where something is likely not what was meant, and of the pictures that are left out.

    Raises:
        DataError: if the set or split is not there, is not labelled images, or lacks an entry.
    """
    prefix, colon, rest = name.partition(":")
    read = {form.partition(":")[:2]: read for form, read in SOURCES.items()}.get((prefix, colon))
    request = Request(rest if read else name, split, data_dir, test_share, seed, tuple(entries))
    size = (image_size * 2)[:2] if len(image_size) == 1 else image_size
    try:
        found = read(request) if read else tfds.read(request)
        if isinstance(found, Found):
            images = found.checked()
            _check_entries(images, entries, name)
            return images.resized((size[0], size[1]), crop, fit) if size and crop is not None else images
        photographs = dataclasses.replace(_sized(found, size, crop), fit_by=fit)
        _check_entries(photographs, entries, name)
        return _sound(photographs, f"{split} of {name}") if skip_bad else photographs
    except tfds.UnknownSetError as error:
        forms = ", ".join(repr(form) for form in SOURCES)
        raise DataError(f"data name {name!r} is neither {forms} nor a TFDS set: {error}") from error
    except MemoryError as error:
        raise DataError(f"{split} of {name} must fit in memory: {error or 'there is not enough'}") from error


def _check_entries(examples: Examples, wanted: Sequence[str], name: str) -> None:
    lacking = [entry for entry in wanted if entry not in examples.entries]
    if lacking:
        raise DataError(
            f"data.name must be a set whose examples have {', '.join(wanted)} for this task, got {name!r}, which has no "
            f"{', '.join(lacking)}"
        )


def _sized(records: Records, size: tuple[int, ...], crop: float | None) -> Photographs:
    """Pictures of the size asked for, or of that of the first; coloured if one of them is."""
    if len(size) == 3:
        return Photographs(records, (size[0], size[1], size[2]), crop)
    own, planes = (0, 0), 1
    for index in range(len(records)):
        try:
            found, planes = decoding.look(records.record(index)[0], records.name(index))
        except DataError:  # told where it is read, or skipped
            continue
        own = own if any(own) else found
        # The first coloured one decides; where all are grey, all have been looked at.
        if planes == 3:
            break
    height, width = size or own
    return Photographs(records, (height or 1, width or 1, planes), crop if size else None)


def _sound(photographs: Photographs, what: str) -> Photographs:
    """Those that can be read; a warning says how many cannot, and which is the first."""

    records = photographs.records

    def trouble(index: int) -> str:
        try:
            decoding.decode(records.record(index)[0], records.name(index), photographs.image_size[2])
        except DataError as error:
            return str(error)
        return ""

    progress = {"total": len(photographs), "desc": "checking pictures", "leave": False, "disable": None}
    found = list(tqdm.tqdm(threads().map(trouble, range(len(photographs))), **progress))
    good = np.flatnonzero([not text for text in found])
    if len(good) == len(found):
        return photographs
    first = next(text for text in found if text)
    if not len(good):
        raise DataError(f"{what} must hold pictures that can be read, got {len(found)} that cannot: {first}")
    checks.warn(f"{len(found) - len(good):,} of {len(found):,} pictures of {what} are skipped: {first}")
    return dataclasses.replace(photographs, records=records.select(good))
