"""Whether a narrow network is a prefix of the wide one: looked up where all ops say so, computed otherwise."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import hardware
from awn_jax import widths as width_arithmetic
from awn_jax.layers.op import Op, observing
from awn_jax.network.births import distinct_widths
from awn_jax.network.calls import names, telling

# What rounding explains, relative to the largest value, by bytes of a number.
TOLERANCE = {1: 0.2, 2: 0.05, 4: 1e-4, 8: 1e-10}


@dataclasses.dataclass(frozen=True)
class PrefixReport:
    """What `check_prefix` found.

    Attributes:
        widths: those that were compared with full width.
        layer: dotted name of the first layer whose narrow output is not the prefix of its wide one; None if there is none.
        kind: its class.
        width: where it failed first.
        difference: largest, relative to the largest value of the wide output.
        between: the layer's input breaks the property already: what stands in front of it, and is no layer, does.
    """

    widths: tuple[float, ...]
    layer: str | None = None
    kind: str = ""
    width: float = 1.0
    difference: float = 0.0
    between: bool = False

    def __bool__(self) -> bool:
        return self.layer is None

    def __str__(self) -> str:
        if self:
            return f"every layer keeps the prefix property at {len(self.widths)} widths"
        if self.between:
            return (
                f"what {self.layer} ({self.kind}) reads breaks the prefix property: at width={self.width:.4g} it differs from "
                f"the first channels of what it reads at full width by {self.difference:.2g} of their size"
            )
        return (
            f"{self.layer} ({self.kind}) breaks the prefix property: at width={self.width:.4g} its output differs from the "
            f"first channels of its full-width output by {self.difference:.2g} of their size"
        )


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A value that a layer reads or gives."""

    name: str
    kind: str
    reads: bool
    value: Any


def check_prefix(
    model: nnx.Module,
    sample: jax.Array,
    at: Sequence[width_arithmetic.Width] | None = None,
    *,
    tolerance: float | None = None,
) -> PrefixReport:
    """Runs a model at several widths and names the first layer whose narrow output is not the prefix of its wide one.

    Call it once with `model.train()` and once with `model.eval()`: a layer may keep the property in one mode only. Nothing is
    dropped meanwhile. The model is left as it was. The layer that gives the logits is compared by what it reads: it sums over
    channels, and its logits differ between widths by design.

    Args:
        model: any Flax NNX module that is called as `model(x, width)`.
        sample: a batch of inputs; real ones show more than zeros do.
        at: widths below 1 to compare with full width; five spread over the distinct sub-networks if None.
        tolerance: largest difference, relative to the largest value, that rounding explains; by the values' type if None.

    Returns:
        A report that is true if the property holds, and says in words what it found.

    Raises:
        ValueError: if a width is outside (0, 1] or there is none below 1.
    """
    if at is None:
        at = width_arithmetic.spread([width for width in distinct_widths(model) if width < 1], 5)
    compared = tuple(sorted((float(width_arithmetic.exact_width(width)) for width in at), reverse=True))
    if not compared or compared[0] == 1:
        raise ValueError(f"widths to compare must be below 1 and not none, got {compared}")
    run = _runner(model, sample)
    wide = run(1.0)
    failures = []
    for width in compared:
        for order, (one, other) in enumerate(zip(wide, run(width), strict=True)):
            difference = _prefix_difference(one.value, other.value)
            allowed = TOLERANCE[one.value.dtype.itemsize] if tolerance is None else tolerance
            if not difference <= allowed:
                report = PrefixReport(compared, one.name, one.kind, width, difference, one.reads)
                failures.append((order, report))
                break
    return min(failures, key=lambda failure: failure[0])[1] if failures else PrefixReport(compared)


def _runner(model: nnx.Module, sample: jax.Array) -> Callable[[float], list[_Seen]]:
    """A function that gives what every layer reads and gives at a width, in order, but for the logits."""
    graphdef, state = nnx.split(model)

    def run(width: float) -> list[_Seen]:
        layers: list[tuple[str, str, bool]] = []

        # Compiled as a whole: operation by operation, each would be compiled for itself at every width.
        @functools.partial(jax.jit, compiler_options=hardware.compiler_options())
        def values(state: Any, sample: jax.Array) -> list[jax.Array]:
            seen: list[_Seen] = []
            paths: dict[int, str] = {}

            def tell(path: str, module: nnx.Module, call: Any, args: Any, kwargs: Any) -> Any:
                output = call(*args, **kwargs)
                # Ops are seen below, with what they read.
                if path and not isinstance(module, Op) and hasattr(output, "shape"):
                    seen.append(_Seen(path, type(module).__name__, False, output))
                return output

            def observer(op: Op, inputs: Any, at: Any, compute: Any) -> Any:
                name = paths.get(id(op), type(op).__name__.lower())
                kind = type(op).__name__
                seen.extend(_Seen(name, kind, True, x) for x in inputs)
                output = compute()
                if not op.adds_up:
                    seen.append(_Seen(name, kind, False, output))
                return output

            # A private copy: a batch norm in training mode moves its statistics.
            copy = telling(graphdef, state, tell)
            copy.set_attributes(deterministic=True, raise_if_not_found=False)
            paths |= names(copy)
            with observing(observer):
                result = copy(sample, width)
            # Logits differ between widths by design.
            seen = [one for one in seen if one.value is not result]
            layers.extend((one.name, one.kind, one.reads) for one in seen)
            return [one.value for one in seen]

        found = jax.device_get(values(state, jnp.asarray(sample)))
        return [_Seen(*layer, value) for layer, value in zip(layers, found, strict=True)]

    return run


def _prefix_difference(wide: np.ndarray, narrow: np.ndarray) -> float:
    channels = narrow.shape[-1]
    if wide.shape[:-1] != narrow.shape[:-1] or channels > wide.shape[-1]:
        return float("inf")
    wide, narrow = np.asarray(wide, np.float64), np.asarray(narrow, np.float64)
    size = max(float(np.abs(wide).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(wide[..., :channels] - narrow).max()) / size
