"""Reading exported networks back: each gives a function from normalised images to logits, in NumPy."""

import importlib.util
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from awn_jax import platform
from awn_jax.export import bundle

Network = Callable[[np.ndarray], np.ndarray]


def _compiled(network: Any) -> Network:
    run = jax.jit(network, compiler_options=platform.compiler_options())
    return lambda images: np.asarray(run(images))


def _stablehlo(path: pathlib.Path, width: float) -> Network:
    return _compiled(jax.export.deserialize(bytearray(path.read_bytes())).call)


def _flax(path: pathlib.Path, width: float) -> Network:
    spec = importlib.util.spec_from_file_location("awn_exported_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return _compiled(module.load())


def _onnx(path: pathlib.Path, width: float) -> Network:
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("that needs onnxruntime: pip install 'awn-jax[export]'") from None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def _bundle(path: pathlib.Path, width: float) -> Network:
    return _compiled(bundle.load(path, width).run)


READ: dict[str, Callable[[pathlib.Path, float], Network]] = {
    "stablehlo": _stablehlo,
    "flax": _flax,
    "onnx": _onnx,
    "bundle": _bundle,
}
