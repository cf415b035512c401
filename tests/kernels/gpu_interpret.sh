#!/bin/sh
# Runs the Hopper kernels' interpret-mode and compile tests, which need JAX 0.12 and so Python 3.12. Makes the
# environment (.venv-gpu) on first use. Where there is no such Python it says so and succeeds.
# GPU_PYTHON names an interpreter to use; GPU_VENV another place for the environment.
set -eu
cd "$(dirname "$0")/../.."
venv=${GPU_VENV:-.venv-gpu}

new_enough() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

find_python() {
  for candidate in ${GPU_PYTHON:-} python3.14 python3.13 python3.12 python3; do
    if new_enough "$candidate"; then echo "$candidate"; return; fi
  done
  # Under pyenv a bare name fails unless its version is the chosen one.
  for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
    if new_enough "$candidate"; then echo "$candidate"; return; fi
  done
}

if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  if [ -z "$python" ]; then
    echo "SKIPPED: GPU interpret tests: no Python 3.12 or newer found (set GPU_PYTHON to name one)"
    exit 0
  fi
  echo "Making $venv with $($python --version)"
  # Made beside and renamed, so that a broken-off installation is not taken for a finished one.
  rm -rf "$venv.new" "$venv"
  "$python" -m venv "$venv.new"
  "$venv.new/bin/python" -m pip install --quiet --disable-pip-version-check \
    'jax>=0.12' numpy pytest jaxtyping beartype hypothesis
  # For compiling to machine code; without them those tests skip.
  version=$("$venv.new/bin/python" -c 'import jax; print(jax.__version__)')
  "$venv.new/bin/python" -m pip install --quiet --disable-pip-version-check \
    "jax-cuda13-plugin==$version" "jax-cuda13-pjrt==$version" nvidia-cuda-nvcc nvidia-nvvm ||
    echo "SKIPPED: GPU compile tests: JAX's CUDA plugin could not be installed"
  mv "$venv.new" "$venv"
fi

# Without conftest.py, which loads the whole project and its dependencies.
JAX_PLATFORMS=cpu "$venv/bin/python" -m pytest --noconftest --jaxtyping-packages=awn_kernels,beartype.beartype \
  tests/kernels/test_mosaic_gpu_interpret.py \
  tests/kernels/test_mosaic_gpu_compile.py tests/kernels/test_pallas_mosaic_gpu.py "$@"
