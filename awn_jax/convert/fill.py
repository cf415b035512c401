"""Takes over an ordinary network's arrays, layer by layer.

PyTorch keeps a convolution's weights as [K, C, rows, columns], here they are [rows, columns, C, K]; a depthwise one's as
[C, 1, rows, columns], here [rows, columns, C]; a dense layer's as [K, inputs], where the inputs of the last layer are the
pixels of the first channel, then those of the second, and so on: here [C, pixels, K]. Padding, strides and epsilon are the
model's own, and the same as PyTorch's in the models that have rules.

Dimensions: C input channels, K output channels.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Shaped

from awn_jax.convert.names import Names
from awn_jax.convert.reading import ConvertError
from awn_jax.layers import AnyWidthHead, BatchNorm, Conv, Dense, DepthwiseConv, PixelHead
from awn_jax.network.calls import modules

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
# Of norms, what has no counterpart here: how many batches there were.
IGNORED = "num_batches_tracked"
MOST_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Report:
    """What has become of the arrays of a file.

    Attributes:
        matched: name here, name there, and shape here, of each array that was taken over.
        missing: names here for which there is no array, or one of another shape, with the reason.
        unused: names there that no array here has taken.
    """

    matched: tuple[tuple[str, str, tuple[int, ...]], ...]
    missing: tuple[tuple[str, str], ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        numbers = sum(int(np.prod(shape)) for _, _, shape in self.matched)
        lines = [f"{len(self.matched)} arrays taken over, {numbers:,} numbers"]
        lines += [f"  {ours:<32} {theirs:<32} {shape}" for ours, theirs, shape in self.matched]
        lines += [f"left as it was: {ours}, {reason}" for ours, reason in self.missing]
        lines += [f"not used: {theirs}" for theirs in self.unused]
        return "\n".join(lines)


def fill(model: nnx.Module, arrays: Arrays, names: Names, *, partial: bool = False) -> Report:
    """Sets a model's weights and statistics to those of an ordinary network.

    Args:
        model: an ordinary network, made of the library's layers.
        arrays: as `read` gives them.
        names: of the model's layers in the file, see `names_of`.
        partial: leave what does not fit as it is: a last layer for other classes, for instance.

    Returns:
        What was taken over, and what was not on either side.

    Raises:
        ConvertError: if an array is missing on either side or has another shape, unless `partial`; if no name fits, or a
            number is not finite. Nothing is changed then.
    """
    fitting: list[tuple[Any, str, str, np.ndarray]] = []
    missing: list[tuple[str, str]] = []
    taken: set[str] = set()
    for path, module in modules(model).items():
        for parameter, theirs, change in _parts(module):
            variable, ours = getattr(module, parameter), f"{path}.{parameter}"
            if variable is None:
                continue
            candidates = [f"{name}.{theirs}" for name in names.get(path, ())]
            found = next((name for name in candidates if name in arrays), None)
            if found is None:
                missing.append((ours, f"there is no {' or '.join(candidates) or 'name for it'}"))
                continue
            taken.add(found)
            array = change(arrays[found], variable.shape)
            if array is None:
                missing.append((ours, f"{found} has shape {arrays[found].shape}, which does not give {variable.shape}"))
            else:
                fitting.append((variable, ours, found, array))
    unused = [name for name in arrays if name not in taken and not name.endswith(IGNORED)]
    report = Report(
        tuple((ours, theirs, array.shape) for _, ours, theirs, array in fitting), tuple(missing), tuple(unused)
    )
    if not fitting or ((missing or unused) and not partial):
        raise ConvertError(_mismatch(report))
    for _, _, theirs, array in fitting:
        if not np.isfinite(array.astype(np.float32)).all():
            raise ConvertError(f"{theirs} must be finite")
    for variable, _, _, array in fitting:
        variable[...] = jnp.asarray(array.astype(variable.dtype))
    return report


def _parts(module: Any) -> Iterator[tuple[str, str, Any]]:
    """(attribute here, last part of the name there, what makes the one of the other) of each array of a layer."""
    match module:
        case Conv():
            yield "kernel", "weight", lambda array, shape: _moved(array, (2, 3, 1, 0), shape)
        case DepthwiseConv():
            yield "kernel", "weight", lambda array, shape: _moved(array, (2, 3, 0, 1), (*shape, 1), shape)
        case Dense() | PixelHead():
            yield "kernel", "weight", lambda array, shape: _moved(array, (1, 0), shape)
        case AnyWidthHead():
            yield "kernel", "weight", lambda array, shape: _moved(array, (1, 0), (shape[0] * shape[1], shape[2]), shape)
        case BatchNorm():
            yield "scale", "weight", _same
            yield "mean", "running_mean", _same
            yield "var", "running_var", _same
        case _:
            return
    yield "bias", "bias", _same


def _same(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    return array if array.shape == tuple(shape) else None


def _moved(
    array: np.ndarray, order: tuple[int, ...], shape: tuple[int, ...], final: tuple[int, ...] | None = None
) -> np.ndarray | None:
    """The array with its axes in another order, if it has the shape then; as one of the final shape."""
    if array.ndim != len(order) or array.transpose(order).shape != tuple(shape):
        return None
    return array.transpose(order).reshape(final or shape)


def _mismatch(report: Report) -> str:
    """One line on what does not fit."""
    lists = {
        "have nothing for": [f"{ours} ({reason})" for ours, reason in report.missing],
        "hold what the network has no place for:": list(report.unused),
    }
    parts = []
    for what, items in lists.items():
        if items:
            more = f" and {len(items) - MOST_SHOWN} more" if len(items) > MOST_SHOWN else ""
            parts.append(f"{what} {', '.join(items[:MOST_SHOWN])}{more}")
    return f"the weights {'; and '.join(parts)}; partial leaves that as it is"
