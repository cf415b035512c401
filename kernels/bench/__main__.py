"""Times the block-triangular convolution at the shapes of real networks.

    python -m kernels.bench                     every shape at widths ¼, ½, ¾ and 1
    python -m kernels.bench --quick             fewer shapes and rounds, within a minute

Each implementation is compared, side by side, with the masked dense convolution and with the dense convolution of an
ordinary layer of equal weights, √2 narrower. Results are checked before they are timed. The last line printed is JSON.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib

import jax
from tqdm import tqdm

from .. import timing
from ..backend import IMPLEMENTATIONS
from ..shapes import SHAPES, at_widths, find
from . import options
from .ending import check_folder, one_line_errors
from .measure import PASSES, check_runs, measure
from .report import plot, table

QUICK = ("lenet_conv1", "lenet_conv2", "lenet_conv3", "mobilenet_expand_136", "resnet_256", "resnet_512")
QUICK_ROUNDS = 5
PICTURES = (".png", ".pdf", ".svg")
WIDTHS = (0.25, 0.5, 0.75, 1.0)
# All is measured in float32, which the Hopper kernels refuse: `bench.gpu` measures them.
FLOAT32 = tuple(name for name in IMPLEMENTATIONS if name != "pallas_mosaic_gpu")


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark that the command line asks for."""
    parser = options.make_parser(__package__ or "", __doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shapes, half their batches, width 1, 5 rounds")
    options.add_shapes(parser)
    parser.add_argument("--implementations", nargs="+", choices=("auto", *FLOAT32), default=["auto"])
    parser.add_argument("--widths", nargs="+", type=_width, metavar="α", help="in (0, 1] (default: ¼ ½ ¾ 1)")
    options.add_timing(parser)
    parser.add_argument("--plot", type=_picture, metavar="FILE", default=pathlib.Path("runs/kernels_bench.png"))
    args = parser.parse_args(arguments)
    if args.quick and args.widths:
        parser.error("--quick measures width 1 alone, and cannot be given with --widths")
    check_folder(parser, "--plot", args.plot.parent)

    timing.keep_freed_memory()
    clock, compiler_options = options.clock(args), options.compiler_options(args)
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else options.ROUNDS)
    shapes = args.shapes or ([find(name) for name in QUICK] if args.quick else SHAPES)
    if args.quick:
        shapes = [dataclasses.replace(shape, batch=shape.batch // 2) for shape in shapes]
    else:
        shapes = [narrow for shape in shapes for narrow in at_widths(shape, args.widths or WIDTHS)]
    for shape, name in itertools.product(shapes, args.implementations):
        check_runs(shape, name)
    peak = timing.matmul_peak(2048, "float32", clock)
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, measured peak {peak / 1e9:.0f} GFLOP/s in float32")
    results = []
    for shape in tqdm(shapes, unit="shape"):
        for passes in PASSES:
            results += measure(shape, passes, args.implementations, rounds, peak, compiler_options, clock)
    print(table(results))
    plot(results, args.plot)
    print(f"plot: {args.plot}")
    fields = ("shape", "implementation", "vs_masked", "vs_equal_weights")
    print(json.dumps([{"pass": r.passes} | {name: getattr(r, name) for name in fields} for r in results]))


def _picture(text: str) -> pathlib.Path:
    path = pathlib.Path(text).expanduser()
    if path.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"must end with one of {', '.join(PICTURES)}, got {text}")
    return path


def _width(text: str) -> float:
    width = float(text)
    if not 0 < width <= 1:
        raise argparse.ArgumentTypeError(f"must be in (0, 1], got {text}")
    return width


if __name__ == "__main__":
    with one_line_errors():
        main()
