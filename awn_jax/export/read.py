"""Reading exported networks back: each gives a function from normalised images to logits, in NumPy.

Files are held against their manifests first; a bundle holds its own checksums. A checksum tells damage, not who wrote a
file: an exported `.py` is code, which runs when it is read, and so are files that take its place with a manifest that fits.
"""

import io
import pathlib
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from awn_jax import hardware, weights
from awn_jax.export import bundle, manifest
from awn_jax.export.checks import ExportError

Network = Callable[[np.ndarray], np.ndarray]


def network(path: pathlib.Path, to: str, width: float | None = None) -> Network:
    """A network that was exported, as a function from normalised images [B, H, W, P] to logits.

    Args:
        path: of the file.
        to: its format: `bundle`, `flax`, `onnx`, `stablehlo` or `weights`.
        width: that it must have; of a bundle, one of those that it holds, of weights any, or None for the widest.

    Raises:
        ExportError: if a file is damaged, incomplete, of another format or width, or cannot be loaded.
        ImportError: if the package that runs it is not installed.
    """
    if to not in READERS:
        raise ExportError(f"to must be one of {', '.join(sorted(READERS))}, got {to!r}")
    return READERS[to](path, width)


def _compiled(network: Any) -> Network:
    run = jax.jit(network, compiler_options=hardware.compiler_options())

    def call(images: np.ndarray) -> np.ndarray:
        # Flax's own mean pooling widens types without being asked to.
        with jax.numpy_dtype_promotion("standard"):
            return np.asarray(run(np.asarray(images, np.float32)))

    return call


def _weights(path: pathlib.Path, width: float | None) -> Network:
    model = weights.load(path).network
    return _compiled(lambda images: model(images, width or 1))


def _bundle(path: pathlib.Path, width: float | None) -> Network:
    return _compiled(bundle.load(path, width).run)


def _stablehlo(path: pathlib.Path, width: float | None) -> Network:
    (content,) = manifest.verified(path, "stablehlo", width)
    try:
        return _compiled(jax.export.deserialize(bytearray(content)).call)
    except ValueError as error:
        raise ExportError(f"{path} cannot be loaded by this JAX: {' '.join(str(error).split())[:200]}") from None


def _flax(path: pathlib.Path, width: float | None) -> Network:
    source, weights = manifest.verified(path, "flax", width)
    module = types.ModuleType("awn_exported_network")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), vars(module))
    return _compiled(module.load(io.BytesIO(weights)))


def _onnx(path: pathlib.Path, width: float | None) -> Network:
    (content,) = manifest.verified(path, "onnx", width)
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("that needs onnxruntime: pip install 'awn-jax[export]'") from None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": np.asarray(images, np.float32)})[0]


READERS: dict[str, Callable[[pathlib.Path, float | None], Network]] = {
    "bundle": _bundle,
    "flax": _flax,
    "onnx": _onnx,
    "stablehlo": _stablehlo,
    "weights": _weights,
}
