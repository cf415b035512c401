"""One file that holds a network: its weights, how it was made, and what it has to know of its images.

It is a safetensors file with the arrays of `arrays.taken`, named as there, and in its `__metadata__`

    awn_weights   "1", the version of this format
    config        JSON, as the run's config.json
    facts         JSON, as the run's run.json
    step          that the weights are of
    sha256        of the arrays and of the fields above
"""

import dataclasses
import hashlib
import json
import pathlib
import struct
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from awn_jax import build, files
from awn_jax import config as configs
from awn_jax.errors import UserError
from awn_jax.models import AnyWidthNetwork
from awn_jax.run import Facts
from awn_jax.weights.arrays import Arrays, put, taken

VERSION, MARK = "1", "awn_weights"
LARGEST_HEADER = 64 << 20
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16}
TYPES |= {"I64": np.int64, "I32": np.int32, "U32": np.uint32, "U8": np.uint8, "BOOL": np.bool_}


class WeightsError(UserError, ValueError):
    """Weights are not there, damaged, or of something else; the message names the file and says why."""


class Saved(NamedTuple):
    """What a file holds.

    Attributes:
        network: in inference mode.
        config: of its run.
        facts: about the images of its run.
        step: that the weights are of.
    """

    network: AnyWidthNetwork
    config: configs.Config
    facts: Facts
    step: int


def save(path: pathlib.Path, network: AnyWidthNetwork, config: configs.Config, facts: Facts, step: int) -> None:
    """Writes a network such that `load` gives one with exactly the same numbers."""
    arrays = {name: np.ascontiguousarray(array) for name, array in taken(network).items()}
    # Where one machine keeps its images is nothing to another.
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, data_dir=""))
    said = {
        MARK: VERSION,
        "config": json.dumps(configs.to_dict(config)),
        "facts": json.dumps(dataclasses.asdict(facts)),
        "step": str(step),
    }
    files.write_bytes(path, safetensors.numpy.save(arrays, {**said, "sha256": _digest(arrays, said)}))


def load(path: pathlib.Path) -> Saved:
    """Reads a network.

    A network that is not the library's own is imported by its name, `module:Class`, as a config has it.

    Raises:
        WeightsError: if the file is not there, holds something else, or is damaged.
    """
    content = _bytes(path)
    said = _metadata(content)
    if MARK not in said:
        raise WeightsError(f"{path} holds no weights of awn_jax")
    if said[MARK] != VERSION:
        raise WeightsError(f"{path} holds weights of version {said[MARK]:.20}, this library reads {VERSION}")
    arrays = tensors(content, path)
    if said.pop("sha256", None) != _digest(arrays, said):
        raise WeightsError(f"{path} is damaged: it has another checksum than it says")
    try:
        config, facts = configs.parse(json.loads(said["config"])), Facts.read(json.loads(said["facts"]))
        outputs = build.task(config, facts.hierarchy).outputs(facts.classes)
        network = build.network(config, facts.image_size, outputs)
        put(network, arrays)
        step = int(said["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} cannot be used: {type(error).__name__}: {error}") from error
    network.eval()
    return Saved(network, config, facts, step)


def is_weights(path: pathlib.Path) -> bool:
    """Whether a file says that it was written by `save`.

    Raises:
        WeightsError: if it cannot be read.
    """
    return MARK in _metadata(_bytes(path))


def tensors(content: bytes, path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file by name.

    Args:
        content: of the file.
        path: what errors call it.

    Raises:
        WeightsError: if it is none, or has an array of a type that is not known here.
    """
    try:
        found = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error
    arrays = {}
    for name, entry in found:
        if entry["dtype"] not in TYPES:
            raise WeightsError(f"{path}: {name} must be of one of the types {', '.join(TYPES)}, got {entry['dtype']}")
        arrays[name] = np.frombuffer(entry["data"], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


def _metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says besides its arrays; nothing if it is none."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 2 <= length <= min(LARGEST_HEADER, len(content) - 8):
        return {}
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return {}
    said: Any = header.get("__metadata__") if isinstance(header, dict) else None
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}


def _digest(arrays: Arrays, said: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
