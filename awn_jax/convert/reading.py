"""Files of weights: PyTorch's, in its present form and the one before it, and safetensors. Nothing in them is executed."""

import io
import pathlib
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Shaped

from awn_jax.convert import pickled
from awn_jax.errors import UserError
from awn_jax.weights.file import tensors

Arrays = dict[str, Shaped[np.ndarray, "..."]]
ZIPPED = b"PK\x03\x04"
# What the form before begins with: a pickled number, and its version.
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
BEFORE = pickle.dumps(MAGIC, 2)
# Under which checkpoints of training scripts keep the weights, and what wrappers put in front of every name.
PLACES = ("state_dict", "model_state_dict", "model", "net", "weights")
WRAPPERS = ("module.", "_orig_mod.", "model.")


class ConvertError(UserError, ValueError):
    """Weights cannot be read, or fit no network; the message says why."""


def read(path: pathlib.Path | str) -> Arrays:
    """The arrays of a file of weights by name.

    Args:
        path: what `torch.save(model.state_dict(), path)` wrote, or a checkpoint that holds such weights under a usual name; or
            a safetensors file.

    Returns:
        Arrays as they are stored; prefixes that all names have because the network was wrapped are left out.

    Raises:
        ConvertError: if it cannot be read, is damaged, or holds no weights.
    """
    path = pathlib.Path(path).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConvertError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if content.startswith(ZIPPED):
            found = _zipped(content)
        elif content.startswith(BEFORE):
            found = _before(io.BytesIO(content))
        else:
            return _unwrapped(tensors(content, path))
        return _unwrapped(found)
    except UserError as error:
        raise ConvertError(f"{error}; nor is it a file of PyTorch's") from error
    # On damaged bytes, unpickling raises whatever it comes upon.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConvertError(f"{path} is no readable file of weights: {reason}") from error


def _zipped(content: bytes) -> Arrays:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {}
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed, as PyTorch does not do it")
            # All lie in a folder, whose name does not matter.
            members[info.filename.partition("/")[2]] = info
        if "data.pkl" not in members:
            raise ValueError("it is a zip file without data.pkl, and so none of PyTorch's")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            raise ValueError("its numbers have their bytes in another order")
        value, storages = pickled.load(io.BytesIO(archive.read(members["data.pkl"])))
        return _arrays(value, {key: archive.read(members[f"data/{key}"]) for key in storages})


def _before(stream: io.BytesIO) -> Arrays:
    if (pickled.load(stream).value, pickled.load(stream).value) != (MAGIC, VERSION):
        raise ValueError("it has a version that is not known here")
    if not pickled.load(stream).value["little_endian"]:
        raise ValueError("its numbers have their bytes in another order")
    value, storages = pickled.load(stream)
    stored = {}
    for key in pickled.load(stream).value:
        count = int.from_bytes(stream.read(8), "little")
        stored[key] = stream.read(count * storages[key].dtype.itemsize)
    return _arrays(value, stored)


def _arrays(value: Any, stored: Mapping[str, bytes]) -> Arrays:
    found = {}
    for name, tensor in _weights(value).items():
        content = stored[tensor.storage.key]
        if len(content) != tensor.storage.length * tensor.storage.dtype.itemsize:
            raise ValueError(f"it is cut off: the numbers of {name} are not all there")
        found[name] = tensor.array(content)
    return found


def _weights(value: Any) -> dict[str, pickled.Tensor]:
    """The dictionary of tensors in what a file holds; other values in it are left out."""
    for place in (None, *PLACES):
        held = value if place is None else value.get(place) if isinstance(value, Mapping) else None
        if isinstance(held, Mapping):
            found = {str(name): item for name, item in held.items() if isinstance(item, pickled.Tensor)}
            if found:
                return found
    raise ValueError(f"it holds no dictionary of tensors, neither by itself nor under {', '.join(PLACES)}")


def _unwrapped(found: Arrays) -> Arrays:
    for wrapper in WRAPPERS:
        if found and all(name.startswith(wrapper) for name in found):
            found = {name.removeprefix(wrapper): array for name, array in found.items()}
    return found
