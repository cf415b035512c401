"""Errors of JAX and of the system that whoever runs a command can mend, told from faults of the program."""

import os

import jax

from .backend import UnsupportedError


def reason(error: BaseException) -> str | None:
    """Returns what went wrong, in one line, if whoever runs the command can mend it; None for a fault of the program.

    Args:
      error: whatever was raised.

    Returns:
      The line: memory or a disk is full, a file is not there or may not be written, an implementation or a platform is asked
      for that is not there.
    """
    text = " ".join(str(error).split())
    if isinstance(error, UnsupportedError):
        return text
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in text:
        return f"not enough memory on the device: {text[:300]}"
    if _is_of_start(error, text):
        wanted = os.environ.get("JAX_PLATFORMS", "")
        return f"JAX finds no such device here as JAX_PLATFORMS={wanted!r} asks for" + (
            f": {text[:300]}" if text else ""
        )
    return None


def _is_of_start(error: BaseException, text: str) -> bool:
    """Whether JAX cannot start on the platforms that it was told to use."""
    if isinstance(error, RuntimeError) and text.startswith("Unable to initialize backend"):
        return True
    # JAX 0.10 says no more than AssertionError where a plugin is not installed.
    if isinstance(error, AssertionError) and not text and not jax.distributed.is_initialized():
        try:
            jax.default_backend()
        except AssertionError:
            return True
    return False
