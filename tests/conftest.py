"""Eight devices on the CPU, shapes checked at every call; less effort put into compiling, which takes most of the time."""

import gc
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

# At level 0, XLA for a CPU gives wrong gradients (JAX 0.10.2).
_QUICK = ["--xla_backend_optimization_level=1"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # XLA's older way to write loops takes a third of the time to compile, a program in one part a fifth less than in many.
    # Later versions may not have these.
    _QUICK += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
_COUNT = "--xla_force_host_platform_device_count"
# Of a flag that is there twice, the last one counts: a worker of the tests inherits eight devices.
ONE_DEVICE = " ".join([os.environ.get("XLA_FLAGS", ""), *_QUICK, f"{_COUNT}=1"])
os.environ["XLA_FLAGS"] = f"{ONE_DEVICE} {_COUNT}=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import jaxtyping

# Before the first import of either package. JAX's own modules are left alone.
jaxtyping.install_import_hook(["awn_jax", "awn_kernels"], "beartype.beartype")

import hypothesis
import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from awn_jax import anytime, data, hardware
from tests import random_networks

# A machine may be busy with other things: an example that takes long says nothing. The same examples everywhere, each time.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
hardware.keep_freed_memory()
# A shape that is stretched, or a type that is widened, without being asked to is a mistake.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Python looks for garbage less often: what JAX keeps while it traces would be looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(scope="session")
def digits() -> data.ImageSet:
    return data.load("digits", "train")


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    return pathlib.Path(__file__).parent.parent


SMALL_RUN = {
    "model.channels": 6,
    "train.epochs": 4.0,
    "train.batch_size": 64,
    "train.schedule": "step",
    "train.log_every": 1,
    "train.checkpoint_minutes": 0.01,
}


@pytest.fixture(scope="session")
def train_command(repository) -> Callable[..., list[str]]:
    """`train_command(workdir, *flags)`: a small run on real digits, some seconds long."""

    def command(workdir: pathlib.Path, *flags: str) -> list[str]:
        settings = [f"--config.{name}={value}" for name, value in SMALL_RUN.items()]
        config = repository / "configs" / "lenet_digits.py"
        script = str(repository / "train.py")
        return [sys.executable, script, f"--config={config}", f"--workdir={workdir}", *settings, *flags]

    return command


@pytest.fixture(scope="session")
def one_device(tmp_path_factory) -> dict[str, str]:
    """The environment of a command with one device; programs compiled by one command serve the next."""
    cache = str(tmp_path_factory.getbasetemp() / "xla")
    return {**os.environ, "XLA_FLAGS": ONE_DEVICE, "JAX_COMPILATION_CACHE_DIR": cache, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def run(repository, one_device) -> Callable[[list[str]], subprocess.CompletedProcess]:
    """`run(command)`, in the repository, with one device."""
    options = {"capture_output": True, "text": True, "timeout": 300, "cwd": repository, "env": one_device}
    return lambda command: subprocess.run(command, **options)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of compiled programs, which the runs of a file share, in this process and in others."""
    folder = str(tmp_path_factory.mktemp("xla"))
    settings = {"jax_compilation_cache_dir": folder, "jax_persistent_cache_min_compile_time_secs": 0.1}
    before = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    # Or JAX goes on with the folder: tests of other files would read programs there while threads of theirs still write them.
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def training(train_command, run, tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """The workdir of a small trained network, and what its training printed."""
    workdir = tmp_path_factory.mktemp("runs") / "trained"
    done = run(train_command(workdir))
    assert done.returncode == 0, done.stderr
    return workdir, done


@pytest.fixture(scope="module")
def trained_run(training, tmp_path_factory) -> pathlib.Path:
    """The workdir of a small trained network, which a module's tests may write into and damage: a copy."""
    return pathlib.Path(shutil.copytree(training[0], tmp_path_factory.mktemp("copy") / "trained"))


@pytest.fixture(scope="module")
def net():
    """A network, images that it takes, and its outputs at all widths of the ladder."""
    model, size = random_networks.random_network(1)
    x = random_networks.images_of(size, 40)
    return model, x, np.stack(random_networks.direct(model, x, anytime.LADDER))


@pytest.fixture
def float64():
    """Double precision, for tests of equality up to rounding."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def tpu_compiler(monkeypatch):
    """libtpu, which reads the flags once more as it is loaded, and ends the process over one of another version."""
    jax.devices()
    monkeypatch.delenv("XLA_FLAGS")
