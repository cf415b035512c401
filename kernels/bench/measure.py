"""One layer, every implementation of it: checked, then timed side by side."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..backend import Implementation
from ..shapes import Shape
from ..timing import Call, Clock, Times, interleaved

PASSES = {"forward": 1, "forward+backward": 3}  # and how many products each takes


@dataclasses.dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
      shape: name of the layer, with its width.
      passes: "forward" or "forward+backward".
      implementation: name, or "auto".
      milliseconds: median.
      spread: distance between the quartiles over the median.
      gmacs: multiply-accumulates with weights that exist, in 10⁹.
      peak: fraction of the measured peak that those amount to.
      vs_masked: speed against the masked dense convolution.
      vs_equal_weights: speed against the ordinary layer of equal weights.
    """

    shape: str
    passes: str
    implementation: str
    milliseconds: float
    spread: float
    gmacs: float
    peak: float
    vs_masked: float
    vs_equal_weights: float


def measure(
    shape: Shape,
    passes: str,
    implementations: list[str],
    rounds: int,
    peak: float,
    options: dict[str, str],
    clock: Clock = time.perf_counter,
) -> list[Result]:
    """Checks and times all implementations of one layer in one kind of pass.

    Args:
      shape: the layer.
      passes: "forward" or "forward+backward".
      implementations: names, or "auto".
      rounds: samples of each.
      peak: attainable floating-point operations per second.
      options: compiler options for every candidate.
      clock: returns seconds.

    Returns:
      One result per implementation.

    Raises:
      AssertionError: if an implementation differs from the masked dense convolution by more than rounding explains.
    """
    backward = passes == "forward+backward"
    ordinary = shape.ordinary()
    masked = Call(_compiled(shape, "reference", backward, options), [_random(shape, backward)])
    dense = Call(_compiled(ordinary, "reference", backward, options), [_random(ordinary, backward)])
    calls = {"masked": masked, "equal weights": dense}
    for name in implementations:
        calls[name] = masked._replace(function=_compiled(shape, name, backward, options))
        _check(shape, name, calls[name], masked)
    times = interleaved(calls, rounds, clock=clock)
    macs = PASSES[passes] * shape.useful_macs
    return [_result(shape, passes, name, times, macs, peak) for name in implementations]


def check_runs(shape: Shape, name: str) -> None:
    """Makes sure that an implementation, or "auto", can run a shape here, without running it.

    Raises:
      UnsupportedError: if it cannot.
    """
    x, w = (jax.ShapeDtypeStruct(each, "float32") for each in (shape.x_shape, shape.w_shape))
    jax.eval_shape(functools.partial(shape.conv, implementation=_named(name)), x, w)


def _result(shape: Shape, passes: str, name: str, times: dict[str, Times], macs: int, peak: float) -> Result:
    own = times[name]
    return Result(
        shape=shape.name,
        passes=passes,
        implementation=name,
        milliseconds=1e3 * own.median,
        spread=own.spread,
        gmacs=macs / 1e9,
        peak=2 * macs / own.median / peak,
        vs_masked=own.speed_against(times["masked"]),
        vs_equal_weights=own.speed_against(times["equal weights"]),
    )


def _compiled(shape: Shape, name: str, backward: bool, options: dict[str, str]) -> Callable[..., Any]:
    implementation = _named(name)

    def run(x: Array, w: Array, *dy: Array) -> Any:
        if not backward:
            return shape.conv(x, w, implementation)
        y, transpose = jax.vjp(functools.partial(shape.conv, implementation=implementation), x, w)
        return y, *transpose(dy[0])

    return jax.jit(run, compiler_options=options)


def _named(name: str) -> Implementation | None:
    return cast(Implementation | None, None if name == "auto" else name)


def _random(shape: Shape, backward: bool) -> list[Array]:
    rng = np.random.default_rng(0)
    shapes = (shape.x_shape, shape.w_shape, shape.y_shape) if backward else (shape.x_shape, shape.w_shape)
    return [jnp.asarray(rng.standard_normal(each), "float32") for each in shapes]


def _check(shape: Shape, name: str, call: Call, masked: Call) -> None:
    found, expected = (jax.tree.leaves(each.function(*each.argument_sets[0])) for each in (call, masked))
    for ours, theirs in zip(found, expected, strict=True):
        error, scale = float(jnp.max(jnp.abs(ours - theirs))), float(jnp.std(theirs))
        # Random signs: rounding grows like the root of the reduction length, as does the scale of the result.
        assert error <= 1e-4 * scale, f"{name} at {shape.name} is off by {error}, the results are of size {scale}"
