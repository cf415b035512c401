"""Eight devices on the CPU, shapes checked at every call."""

import os
import pathlib
import subprocess
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


@pytest.fixture(scope="session")
def trained_run(repository, tmp_path_factory) -> pathlib.Path:
    """The workdir of a small network, trained for some seconds on real digits."""
    workdir = tmp_path_factory.mktemp("runs") / "trained"
    settings = {"model.channels": 8, "train.epochs": 4.0}
    done = subprocess.run(
        [
            *(sys.executable, str(repository / "train.py"), f"--workdir={workdir}"),
            f"--config={repository / 'configs' / 'lenet_digits.py'}",
            *(f"--config.{name}={value}" for name, value in settings.items()),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=repository,
        env={**os.environ, "XLA_FLAGS": ""},
    )
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def float64():
    """Double precision, for tests of equality up to rounding."""
    with jax.enable_x64(True):
        yield
