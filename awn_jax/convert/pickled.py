"""Objects that PyTorch has pickled, read without running anything that the file asks for.

A pickle is a program: it may name any function of any module and have it called. Here only those names are known that a
dictionary of tensors is made of, and each stands for a thing of this module that does nothing but remember. So a file can
fail, and cannot act.
"""

import collections
import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

# Values that are remembered for later use, of which a file of weights has some for each tensor.
MOST_REMEMBERED = 1 << 20
TYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Kind(NamedTuple):
    """Stands for a class of storages: the name of it."""

    name: str


class Storage(NamedTuple):
    """Stands for numbers that lie elsewhere in the file.

    Attributes:
        key: by which they are found.
        dtype: of the numbers.
        length: how many.
    """

    key: str
    dtype: np.dtype
    length: int


class Tensor(NamedTuple):
    """Stands for a tensor.

    Attributes:
        storage: where its numbers are.
        start: of the first one.
        shape: of the tensor.
        strides: in numbers, not in bytes.
    """

    storage: Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, content: bytes) -> Shaped[np.ndarray, "..."]:
        """The tensor, given the bytes of its storage.

        Raises:
            ValueError: if they do not hold it.
        """
        numbers = np.frombuffer(content, self.storage.dtype)
        whole = (self.start, *self.shape, *self.strides)
        if not all(isinstance(number, int) and number >= 0 for number in whole) or len(self.shape) != len(self.strides):
            raise ValueError(f"a tensor claims the shape {self.shape!r} with strides {self.strides!r}")
        if not math.prod(self.shape):
            return np.zeros(self.shape, self.storage.dtype)
        last = self.start + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if last >= len(numbers) or math.prod(self.shape) > len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} does not lie in its {len(numbers):,} numbers")
        strides = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.start :], self.shape, strides, writeable=False).copy()


class Loaded(NamedTuple):
    """An object, in which tensors are `Tensor`, and all storages that it refers to by key."""

    value: Any
    storages: dict[str, Storage]


def load(stream: io.BytesIO) -> Loaded:
    """The next pickled object of a stream.

    Raises:
        ValueError: if it does, or names, anything that weights have no need of.
        Exception: whatever damaged bytes lead to.
    """
    start = stream.tell()
    for operation, argument, _ in pickletools.genops(stream):
        # Memory is taken for so many, whether they come or not.
        if operation.name.endswith("PUT") and argument and int(argument) > MOST_REMEMBERED:
            raise ValueError(f"it remembers more than {MOST_REMEMBERED:,} values")
    stop = stream.tell()
    stream.seek(start)
    unpickler = _Unpickler(io.BytesIO(stream.read(stop - start)))
    return Loaded(unpickler.load(), unpickler.storages)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.cuda") and name in TYPES:
            return Kind(name)
        if (module, name) not in _KNOWN:
            raise ValueError(
                f"it holds {module}.{name}, which weights have no need of: save them with "
                "torch.save(model.state_dict(), FILE)"
            )
        return _KNOWN[module, name]

    def persistent_load(self, identity: Any) -> Storage:
        # The form before the present one has a sixth part, of which only nothing is in use.
        match identity[:5] if identity[5:] in ((), (None,)) else ():
            case ("storage", Kind(name), str(key), str(), int(length)):
                return self.storages.setdefault(key, Storage(key, np.dtype(TYPES[name]), length))
        raise ValueError(f"it refers to numbers in a way that is not known here: {identity!s:.80}")


def _tensor(storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("it holds a tensor of another make")
    return Tensor(storage, start, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
