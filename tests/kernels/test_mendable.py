"""What the user of a command can mend is told in a line, faults of the program are not."""

import subprocess
import sys

import jax
import pytest
from awn_kernels import UnsupportedError
from awn_kernels.mendable import reason


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.png"), "a.png: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (UnsupportedError("it needs a TPU"), "it needs a TPU"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate\n8 GiB"), "not enough memory: Unable to allocate 8 GiB"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
            "not enough memory on the device: RESOURCE_EXHAUSTED",
        ),
        (RuntimeError("Unable to initialize backend 'x'"), "JAX finds no such device here as JAX_PLATFORMS="),
    ],
)
def test_what_can_be_mended_is_one_line(error, line):
    told = reason(error)
    assert told.startswith(line)
    assert "\n" not in told


@pytest.mark.parametrize(
    "error", [AssertionError(), ValueError("x"), OSError("no code"), jax.errors.JaxRuntimeError("INTERNAL: x")]
)
def test_faults_of_the_program_stay_tracebacks(error):
    assert reason(error) is None


def test_a_benchmark_ends_with_a_line_where_there_is_no_such_device(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    if jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", "kernels.bench", "--quick", f"--plot={tmp_path}/never.png"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: JAX finds no such device here as JAX_PLATFORMS='cuda' asks for")
