"""Eight devices on the CPU, shapes checked at every call."""

import os
import pathlib
import sys

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import jaxtyping

# Before the first import of either package. JAX's own modules are left alone.
jaxtyping.install_import_hook(["awn_jax", "kernels"], "beartype.beartype")

import jax
import pytest

from awn_jax import data, platform

platform.keep_freed_memory()


@pytest.fixture(scope="session")
def digits() -> data.ImageSet:
    return data.load("digits", "train")


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    return pathlib.Path(__file__).parent.parent


@pytest.fixture
def float64():
    """Double precision, for tests of equality up to rounding."""
    with jax.enable_x64(True):
        yield
