"""Looking into a model: what each layer gives, what it costs, and whether a narrow network is a prefix of a wide one."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import widths as width_arithmetic
from awn_jax.models import distinct_widths


class LayerCall(NamedTuple):
    """One call of a layer.

    Attributes:
        name: dotted path from the model; empty for the model itself.
        layer: the module.
        output: what the call gave.
    """

    name: str
    layer: nnx.Module
    output: Any


@contextlib.contextmanager
def _recorded(model: nnx.Module, calls: list[LayerCall]) -> Iterator[None]:
    """Appends every `__call__` of the model's modules to `calls`, in the order in which they return."""
    names = {id(module): ".".join(map(str, path)) for path, module in nnx.iter_modules(model)}
    # A class that inherits its `__call__` is left to the class that defines it, which is patched once.
    owners = {
        next(c for c in type(m).__mro__ if "__call__" in vars(c)) for _, m in nnx.iter_modules(model) if callable(m)
    }
    originals = {owner: owner.__call__ for owner in owners}

    def patched(original: Any) -> Any:
        def call(self: nnx.Module, *args: Any, **kwargs: Any) -> Any:
            output = original(self, *args, **kwargs)
            if id(self) in names:
                calls.append(LayerCall(names[id(self)], self, output))
            return output

        return call

    try:
        for owner, original in originals.items():
            setattr(owner, "__call__", patched(original))  # noqa: B010
        yield
    finally:
        for owner, original in originals.items():
            setattr(owner, "__call__", original)  # noqa: B010


def layer_calls(model: nnx.Module, *args: Any, **kwargs: Any) -> list[LayerCall]:
    """Calls a model and returns the calls of its layers, in order; the model's own comes last."""
    calls: list[LayerCall] = []
    with _recorded(model, calls):
        model(*args, **kwargs)
    return calls


class Cost(NamedTuple):
    """Of one sub-network.

    Attributes:
        params: weights that exist, biases, scales; not the running statistics.
        macs: multiply-accumulates of convolutions and dense layers for one example. A batch norm has none: it folds into the
            layer before it.
    """

    params: int
    macs: int


def cost(model: nnx.Module, image_size: tuple[int, int, int], width: width_arithmetic.Width) -> Cost:
    """Parameters and multiply-accumulates of a model at one width, from the births; nothing is computed.

    Counts the layers that have a `cost(output_shape, width)` method, as all of `awn_jax.layers` have.

    Args:
        model: called as `model(images, width)`.
        image_size: height, width and planes of an image.
        width: α, in (0, 1].

    Raises:
        ValueError: if `width` is outside (0, 1].
    """
    totals: list[tuple[int, int]] = []

    def trace(model: nnx.Module, x: jax.Array) -> None:
        for call in layer_calls(model, x, width):
            if hasattr(call.layer, "cost"):
                totals.append(call.layer.cost(call.output.shape, width))

    nnx.eval_shape(trace, model, jax.ShapeDtypeStruct((1, *image_size), jnp.float32))
    return Cost(sum(params for params, _ in totals), sum(macs for _, macs in totals))


@dataclasses.dataclass(frozen=True)
class PrefixReport:
    """What `check_prefix` found.

    Attributes:
        widths: those that were compared with full width.
        layer: dotted name of the first layer whose narrow output is not the prefix of its wide one; None if there is none.
        kind: its class.
        width: where it failed first.
        difference: largest, relative to the largest value of the wide output.
    """

    widths: tuple[float, ...]
    layer: str | None = None
    kind: str = ""
    width: float = 1.0
    difference: float = 0.0

    def __bool__(self) -> bool:
        return self.layer is None

    def __str__(self) -> str:
        if self:
            return f"every layer keeps the prefix property at {len(self.widths)} widths"
        return (
            f"{self.layer} ({self.kind}) breaks the prefix property: at width={self.width:.4g} its output differs from the "
            f"first channels of its full-width output by {self.difference:.2g} of their size"
        )


def check_prefix(
    model: nnx.Module,
    sample: jax.Array,
    at: Sequence[width_arithmetic.Width] | None = None,
    *,
    tolerance: float = 1e-4,
) -> PrefixReport:
    """Runs a model at several widths and names the first layer whose narrow output is not the prefix of its wide one.

    Call it once with `model.train()` and once with `model.eval()`: a layer may keep the property in one mode only. The
    model is left as it was. The last layer to run, which gives the logits, is not compared: it sums over channels, and its
    logits differ between widths by design; so is the model as a whole.

    Args:
        model: any Flax NNX module that is called as `model(x, width)`.
        sample: a batch of inputs; real ones show more than zeros do.
        at: widths below 1 to compare with full width; five spread over the distinct sub-networks if None.
        tolerance: largest difference, relative to the largest value, that rounding explains.

    Returns:
        A report that is true if the property holds, and says in words what it found.

    Raises:
        ValueError: if a width is outside (0, 1] or there is none below 1.
    """
    if at is None:
        below = [width for width in distinct_widths(model) if width < 1]
        at = [below[i] for i in sorted(set(np.linspace(0, len(below) - 1, 5).round().astype(int)))] if below else []
    compared = tuple(sorted((float(width_arithmetic.exact_width(width)) for width in at), reverse=True))
    if not compared or compared[0] == 1:
        raise ValueError(f"widths to compare must be below 1 and not none, got {compared}")

    graphdef, state = nnx.split(model)

    def outputs(width: float) -> list[tuple[str, str, np.ndarray]]:
        """Name, class and output of every layer but the last, in order."""
        layers: list[tuple[str, str]] = []

        # Compiled as a whole: operation by operation, each would be compiled for itself at every width.
        @jax.jit
        def run(state: Any, sample: jax.Array) -> list[jax.Array]:
            # A copy, because a batch norm in training mode moves its statistics.
            calls = layer_calls(nnx.merge(graphdef, state, copy=True), sample, width)
            calls = [call for call in calls if call.name and hasattr(call.output, "shape")][:-1]
            layers.extend((call.name, type(call.layer).__name__) for call in calls)
            return [call.output for call in calls]

        return [(*layer, output) for layer, output in zip(layers, jax.device_get(run(state, sample)), strict=True)]

    wide = outputs(1.0)
    failures = []
    for width in compared:
        for order, ((name, kind, one), (_, _, other)) in enumerate(zip(wide, outputs(width), strict=True)):
            difference = _prefix_difference(one, other)
            if not difference <= tolerance:
                failures.append((order, PrefixReport(compared, name, kind, width, difference)))
                break
    return min(failures, key=lambda failure: failure[0])[1] if failures else PrefixReport(compared)


def _prefix_difference(wide: np.ndarray, narrow: np.ndarray) -> float:
    channels = narrow.shape[-1]
    if wide.shape[:-1] != narrow.shape[:-1] or channels > wide.shape[-1]:
        return float("inf")
    size = max(float(np.abs(wide).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(wide[..., :channels] - narrow).max()) / size
