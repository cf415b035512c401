"""Benchmarks of the block-triangular convolution at the shapes of real networks.

    python -m kernels.bench                     every shape at widths ¼, ½, ¾ and 1
    python -m kernels.bench --quick             fewer shapes and rounds, within a minute
    python -m kernels.bench --train             whole training steps, and their losses
    python -m kernels.bench --tpu-compile       compiles the TPU kernels for v5e and v6e, with libtpu, without a TPU

Each implementation is compared, side by side, with the masked dense convolution and with the dense convolution of an
ordinary layer of equal weights, √2 narrower. Results are checked before they are timed. The last line printed is JSON.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from . import timing
from .api import IMPLEMENTATIONS, Implementation
from .shapes import SHAPES, Shape, at_widths, find
from .staircase import useful_macs
from .timing import Times

QUICK = ("lenet_conv1", "lenet_conv2", "lenet_conv3", "mobilenet_expand_136", "resnet_256", "resnet_512")
PASSES = {"forward": 1, "forward+backward": 3}  # and how many products each takes
# All is measured in float32, which the Hopper kernels refuse: `kernels.bench_gpu` measures them.
FLOAT32 = tuple(name for name in IMPLEMENTATIONS if name != "pallas_mosaic_gpu")
WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}


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
    clock: Callable[[], float] = time.perf_counter,
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
    narrow = dataclasses.replace(shape.narrower(), whole_input=True)
    functions: dict[str, tuple[Callable[..., Any], list[Array]]] = {
        "masked": (_compiled(shape, "reference", backward, options), _random(shape, backward)),
        "equal weights": (_compiled(narrow, "reference", backward, options), _random(narrow, backward)),
    }
    for name in implementations:
        functions[name] = (_compiled(shape, name, backward, options), functions["masked"][1])
        _check(shape, name, functions[name][0], functions["masked"])
    times = timing.interleaved(functions, rounds, clock)
    macs = PASSES[passes] * shape.macs(shape.batch, useful_macs(shape.visible))
    return [_result(shape, passes, name, times, macs, peak) for name in implementations]


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
    implementation = cast(Implementation | None, None if name == "auto" else name)

    def run(x: Array, w: Array, *dy: Array) -> Any:
        if not backward:
            return shape.conv(x, w, implementation)
        y, transpose = jax.vjp(functools.partial(shape.conv, implementation=implementation), x, w)
        return y, *transpose(dy[0])

    return jax.jit(run, compiler_options=options)


def _random(shape: Shape, backward: bool) -> list[Array]:
    rng = np.random.default_rng(0)
    x, w = shape.arguments()
    y = jax.eval_shape(shape.conv, x, w)
    return [jnp.asarray(rng.standard_normal(a.shape), a.dtype) for a in ([x, w, y] if backward else [x, w])]


def _check(
    shape: Shape, name: str, function: Callable[..., Any], masked: tuple[Callable[..., Any], list[Array]]
) -> None:
    reference_function, args = masked
    for ours, theirs in zip(jax.tree.leaves(function(*args)), jax.tree.leaves(reference_function(*args)), strict=True):
        error, scale = float(jnp.max(jnp.abs(ours - theirs))), float(jnp.std(theirs))
        # Random signs: rounding grows like the root of the reduction length, as does the scale of the result.
        assert error <= 1e-4 * scale, f"{name} at {shape.name} is off by {error}, the results are of size {scale}"


def table(results: list[Result]) -> str:
    """Returns the results as aligned text."""
    head = f"{'shape':30} {'pass':17} {'implementation':15} {'ms':>8} {'±':>4} {'GMAC':>7} {'peak':>5}"
    lines = [f"{head} {'vs masked':>9} {'vs equal weights':>16}"]
    for r in results:
        lines.append(
            f"{r.shape:30} {r.passes:17} {r.implementation:15} {r.milliseconds:8.2f} {r.spread:4.0%} {r.gmacs:7.3f} "
            f"{r.peak:5.0%} {r.vs_masked:9.2f} {r.vs_equal_weights:16.2f}"
        )
    return "\n".join(lines)


def plot(results: list[Result], path: pathlib.Path) -> None:
    """Writes a bar chart of the speeds against the masked dense convolution."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shapes = list(dict.fromkeys(r.shape for r in results))
    series = list(dict.fromkeys((r.implementation, r.passes) for r in results))
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.25 * len(shapes) * len(series)), layout="constrained")
    height = 0.8 / len(series)
    for i, (implementation, passes) in enumerate(series):
        speeds = {r.shape: r.vs_masked for r in results if (r.implementation, r.passes) == (implementation, passes)}
        places = [shapes.index(shape) + i * height for shape in speeds]
        axes.barh(places, list(speeds.values()), height, label=f"{implementation}, {passes}")
    axes.set_yticks(np.arange(len(shapes)) + 0.4 - height / 2, shapes)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("speed against the masked dense convolution")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _width(text: str) -> float:
    width = float(text)
    if not 0 < width <= 1:
        raise argparse.ArgumentTypeError(f"must be in (0, 1], got {text}")
    return width


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds")
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help="named shapes, instead of all")
    parser.add_argument("--implementations", nargs="+", choices=("auto", *FLOAT32), default=["auto"])
    parser.add_argument(
        "--widths", nargs="+", type=_width, metavar="α", help="in (0, 1] (default: ¼ ½ ¾ 1; --quick: 1)"
    )
    parser.add_argument("--cpu-seconds", action="store_true", help="time threads, not the wall: for a busy machine")
    parser.add_argument("--rounds", type=int, help="samples of each candidate (default: 15; --quick: 5)")
    parser.add_argument("--without-ynn", action="store_true", help="keep XLA on a CPU from handing work to YNNPACK")
    parser.add_argument("--plot", type=pathlib.Path, default=pathlib.Path("runs/kernels_bench.png"))
    parser.add_argument("--train", action="store_true", help="train small networks instead")
    parser.add_argument("--tpu-compile", action="store_true", help="compile the TPU kernels; needs libtpu, no TPU")
    args = parser.parse_args(arguments)
    if args.rounds is not None and args.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {args.rounds}")
    if args.quick and args.widths:
        parser.error("--quick measures width 1 alone, and cannot be given with --widths")
    if (args.train or args.tpu_compile) and (args.quick or args.widths or args.implementations != ["auto"]):
        parser.error("--quick, --widths and --implementations are of the layers' benchmark")
    if args.train and args.shapes:
        parser.error("--train has networks of its own, and cannot be given with --shapes")
    if args.tpu_compile:
        from . import tpu_compile

        tpu_compile.main([find(name) for name in args.shapes] if args.shapes else list(SHAPES))
        return

    timing.keep_freed_memory()
    rounds = args.rounds or (5 if args.quick else 15)
    options = WITHOUT_YNN if args.without_ynn else {}
    clock = time.process_time if args.cpu_seconds else time.perf_counter
    if args.train:
        from . import bench_train

        bench_train.main(rounds, 10, options, clock)
        return

    peak = timing.matmul_peak(clock)
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, measured peak {peak / 1e9:.0f} GFLOP/s in float32")
    full = [find(name) for name in args.shapes or (QUICK if args.quick else [shape.name for shape in SHAPES])]
    if args.quick:
        shapes = [dataclasses.replace(shape, batch=shape.batch // 2) for shape in full]
    else:
        shapes = [narrow for shape in full for narrow in at_widths(shape, tuple(args.widths or (0.25, 0.5, 0.75, 1.0)))]
    results = []
    for shape in tqdm(shapes, unit="shape"):
        for passes in PASSES:
            results += measure(shape, passes, args.implementations, rounds, peak, options, clock)
    print(table(results))
    plot(results, args.plot)
    print(f"plot: {args.plot}")
    fields = ("shape", "implementation", "vs_masked", "vs_equal_weights")
    print(json.dumps([{"pass": r.passes} | {name: getattr(r, name) for name in fields} for r in results]))


if __name__ == "__main__":
    main()
