"""Progress bars: widgets in a notebook, text on a terminal, nothing elsewhere."""

import warnings
from typing import Any

with warnings.catch_warnings():
    # A notebook without widgets has text in their place, and need not be told.
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

WIDGETS = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)


def bar(*iterable: Any, shown: bool, **options: Any) -> Any:
    """A bar of tqdm's.

    Args:
        *iterable: what to go through, if anything.
        shown: or nothing.
        options: see `tqdm.tqdm`.
    """
    # None is for terminals alone; what a notebook shows goes through no terminal.
    return tqdm(*iterable, disable=(False if WIDGETS else None) if shown else True, **options)
