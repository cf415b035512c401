#!/bin/sh
# Runs the Hopper kernels' interpret-mode and compile tests, which need JAX 0.12 and so Python 3.12. Makes the
# environment (.venv-gpu) on first use; where there is no such Python, uv fetches one.
# GPU_PYTHON names an interpreter to use; GPU_VENV another place for the environment.
# What cannot be had is named and left out; with CI=true that is a failure.
set -eu
cd "$(dirname "$0")/../.."
venv=${GPU_VENV:-.venv-gpu}

left_out() {
  if [ "${CI:-}" = true ]; then echo "FAILED: $1" >&2; exit 1; fi
  echo "SKIPPED: $1"
}

new_enough() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

find_python() {
  # Under pyenv a bare name fails unless its version is the chosen one: look at all of them.
  for candidate in ${GPU_PYTHON:-} python3.14 python3.13 python3.12 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
    if new_enough "$candidate"; then echo "$candidate"; return; fi
  done
  fetch_python 2>/dev/null || true
}

fetch_python() {
  python3 -m venv "$venv.uv" && "$venv.uv/bin/python" -m pip install --quiet uv &&
    "$venv.uv/bin/uv" python install --quiet 3.12 && "$venv.uv/bin/uv" python find --managed-python 3.12
}

if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  if [ -z "$python" ]; then
    left_out "GPU interpret tests: no Python 3.12 or newer found or fetched (set GPU_PYTHON to name one)"
    exit 0
  fi
  echo "Making $venv with $("$python" --version)"
  # Made beside and renamed, so that a broken-off installation is not taken for a finished one.
  rm -rf "$venv.new" "$venv"
  "$python" -m venv "$venv.new"
  "$venv.new/bin/python" -m pip install --quiet --disable-pip-version-check 'jax>=0.12' numpy pytest jaxtyping beartype
  # For compiling to machine code.
  version=$("$venv.new/bin/python" -c 'import jax; print(jax.__version__)')
  "$venv.new/bin/python" -m pip install --quiet --disable-pip-version-check \
    "jax-cuda13-plugin==$version" "jax-cuda13-pjrt==$version" nvidia-cuda-nvcc nvidia-nvvm ||
    left_out "GPU compile tests: JAX's CUDA plugin could not be installed"
  mv "$venv.new" "$venv"
fi

# Python finds `awn_kernels`, the installed name of the folder `kernels`, by a link.
mkdir -p "$venv/names" && ln -sfn "$PWD/kernels" "$venv/names/awn_kernels"
# Without conftest.py, which loads the whole project and its dependencies.
PYTHONPATH="$venv/names" JAX_PLATFORMS=cpu "$venv/bin/python" -m pytest --noconftest \
  --jaxtyping-packages=awn_kernels,beartype.beartype tests/kernels/test_mosaic_gpu*.py "$@"
