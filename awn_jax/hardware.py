"""The machine that programs run on: what it is, what it needs to be told to run fast, and how a command ends on it."""

import argparse
import contextlib
import ctypes
import importlib.metadata
import io
import logging
import os
import pathlib
import platform
import re
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax
from awn_kernels import mendable
from awn_kernels.target import current_platform

from awn_jax.errors import UserError, own_code
from awn_jax.hosts import LOST


def compiler_options() -> dict[str, str]:
    """Options for `jax.jit` on the platform that programs are made for.

    On a CPU, XLA hands convolutions to a library that takes three to seven times as long for narrow layers as the code it
    writes itself, and is no faster for wide ones (JAX 0.10.2, up to 512 channels); this keeps it from doing so.
    """
    return {"xla_cpu_experimental_ynn_fusion_type": ""} if current_platform() == "cpu" else {}


def runs_loops_well() -> bool:
    """Whether a loop over steps may stay a loop: XLA on a CPU does not bring the convolutions inside a loop into the form that
    it has fast code for, and runs them some forty times slower (JAX 0.10.2)."""
    return current_platform() != "cpu"


def steps_per_dispatch() -> int:
    """How many steps to compile into one program: many on an accelerator, to hide the time between them."""
    return 32 if runs_loops_well() else 1


def start() -> None:
    """What a command does before the first program runs: keeps freed memory, keeps compiled programs, quiets libraries."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a file that cannot show a letter shows a question mark in its place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    keep_freed_memory()
    use_compilation_cache()


def use_compilation_cache() -> None:
    """Keeps compiled programs between runs, in $JAX_COMPILATION_CACHE_DIR, else in the user's cache folder."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        try:
            cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "awn_jax" / "xla"
            cache.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            # A container without a home folder: programs are compiled anew each time.
            return
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def keep_freed_memory() -> None:
    """Makes the C library keep the memory that a step gives back, before the first program runs.

    XLA on a CPU takes tens of megabytes of scratch memory for every step. By default glibc returns them to the system at
    once, and the next step pays for every page anew: half of a small network's step. Does nothing where the C library has no
    `mallopt`.
    """
    arena_max, mmap_threshold, trim_threshold, top_pad = -8, -3, -1, -2
    settings = {arena_max: 1, mmap_threshold: 1 << 30, trim_threshold: 2**31 - 1, top_pad: 256 << 20}
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in settings.items():
        mallopt(option, value)


def describe_device() -> str:
    """The machine's name for what programs run on; for a CPU, also its number of cores, and of those that this process has."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    try:
        info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    has = processors()
    return f"{name}, {has if has == os.cpu_count() else f'{has} of {os.cpu_count()}'} cores"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_software() -> dict[str, str]:
    """The versions that results depend on."""
    return {name: importlib.metadata.version(name) for name in ("jax", "flax", "optax", "numpy")}


_LOST = re.compile(
    r"UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|[Cc]oordination|Gloo|gloo|[Hh]eartbeat|closed by peer|reset by peer"
)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends a command with one line for what its user can mend, and with a traceback for faults of the library."""
    try:
        yield
    except KeyboardInterrupt:
        fail("stopped; the same command goes on, or begins again")
    except argparse.ArgumentTypeError as error:
        fail(str(error))
    except Exception as error:
        text = " ".join(str(error).split())
        if isinstance(error, UserError):
            fail(text)
        if line := mendable.reason(error):
            fail(line)
        several = jax.distributed.is_initialized()
        # Some of what is said of a lost process comes as ValueError.
        if several and (isinstance(error, jax.errors.JaxRuntimeError) or _LOST.search(text)):
            fail(f"{LOST} ({text[:300]})")
        where = own_code(error)
        sys.stderr.write(
            f"{where}: this code, which is no part of awn_jax, has raised an error:\n"
            if where
            else "This is a fault of awn_jax, not of yours: please report it with the lines below.\n"
        )
        if several:
            # As Python ends, this process would wait for those that have been lost.
            traceback.print_exc()
            os._exit(1)
        raise


def fail(text: str | Exception) -> NoReturn:
    """Ends the process with one line on what went wrong.

    At once: reads of a checkpoint that are still under way when one has failed would say so, at length, while Python ends.
    """
    with contextlib.suppress(OSError):  # a full disk, or nobody who reads
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()
    os._exit(1)
