"""How a benchmark ends: with one line for what its user can mend, with a traceback for faults of the kernels."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..mendable import reason


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Wraps a whole benchmark, for both endings."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("error: stopped")
    except Exception as error:
        if line := reason(error):
            sys.exit(f"error: {line}")
        sys.stderr.write("This is a fault of awn_kernels, not of yours: please report it with the lines below.\n")
        raise


def check_folder(parser: argparse.ArgumentParser, flag: str, folder: Path) -> None:
    """Ends with an error unless files can be written to a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(f"argument {flag}: nothing can be written to {folder}: {error.strerror}")
