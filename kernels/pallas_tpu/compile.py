"""Compiling for a TPU on a machine without one: needs libtpu, which holds the compiler."""

import importlib.util
import os

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from ..backend import UnsupportedError

CHIPS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}


def can_compile() -> bool:
    """Whether the wheel with the compiler is there."""
    return importlib.util.find_spec("libtpu") is not None


def offline_sharding(chip: str) -> SingleDeviceSharding:
    """Returns a placement on a chip that need not exist: `jit(f).lower(...)` on arrays placed so can be compiled.

    Args:
      chip: a key of `CHIPS`.

    Returns:
      The sharding to give to `jax.ShapeDtypeStruct`.

    Raises:
      UnsupportedError: if libtpu is not installed.
    """
    if not can_compile():
        raise UnsupportedError("compiling for TPUs needs the compiler: pip install libtpu")
    return SingleDeviceSharding(offline_chips(CHIPS[chip])[0])


def offline_chips(topology: str) -> list[jax.Device]:
    """Returns the chips of a slice that need not exist, as v5e:4x4; libtpu must be installed.

    Raises:
      jax.errors.JaxRuntimeError: if libtpu does not know the slice.
    """
    # There is no machine to ask what it is, and no chip that another process might hold.
    absent = {
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_ACCELERATOR_TYPE": "v5litepod-4",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    for name, value in absent.items():
        os.environ.setdefault(name, value)
    return list(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)
