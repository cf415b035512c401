"""Checks, tunes and measures the Hopper kernels, in under ten minutes.

    python -m kernels.bench.gpu

Without a GPU: `--interpret` goes through all of it at tiny sizes (JAX 0.12; its times mean nothing), and `--compile`
compiles every layer for an H100 and says what the compiler used (JAX's CUDA plugin and ptxas). The last line printed is
JSON: a list of `shape`, `pass`, `implementation`, `vs_masked`, `vs_equal_weights`; ratios above 1 are faster.
"""

import contextlib
import json
import sys
from pathlib import Path

import jax

from ...mosaic_gpu.ops import is_hopper
from ...mosaic_gpu.shared import interpret_mode
from ...timing import Deadline
from ..ending import check_folder, one_line_errors
from ..options import make_parser, seconds
from . import compile, phases
from .layers import Sizes
from .report import Report
from .speed import speed


def main(arguments: list[str] | None = None) -> int:
    """Runs the bench; returns the exit status."""
    parser = make_parser(__package__ or "", __doc__)
    parser.add_argument("--interpret", action="store_true", help="tiny sizes on the CPU; times mean nothing")
    parser.add_argument("--compile", action="store_true", help="only compile for an H100, which need not exist")
    parser.add_argument("--budget", type=seconds, default=540.0, help="seconds after which nothing new is begun")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where gpu.md and gpu.json go (default: runs/bench_gpu, and below it interpret and compile)",
    )
    args = parser.parse_args(arguments)
    # Never over what a GPU has measured.
    kind = "compile" if args.compile else "interpret" if args.interpret else ""
    out = args.out or Path("runs/bench_gpu") / kind
    check_folder(parser, "--out", out)
    if args.compile:
        return compile.main(out)
    if not args.interpret and not (jax.default_backend() == "gpu" and is_hopper(jax.devices()[0])):
        parser.error(f"it needs a Hopper GPU, found {jax.devices()[0].device_kind}: try --interpret or --compile")
    with contextlib.ExitStack() as stack:
        if args.interpret:
            stack.enter_context(interpret_mode())
        ok, rows = run(Sizes.tiny() if args.interpret else Sizes(), Report(out, "Hopper kernels"), args.budget)
    print(json.dumps(rows))
    sys.stdout.flush()
    return 0 if ok else 1


def run(sizes: Sizes, report: Report, seconds: float) -> tuple[bool, list[dict[str, object]]]:
    """Goes through the phases, the most important first; returns whether all numbers were right, and the ratios."""
    deadline = Deadline(seconds)
    chip = phases.ceilings(sizes, report)
    expected, ok, others = phases.correctness(sizes, report, deadline)
    if not ok:
        print("Stopping: numbers are wrong, so times would mean nothing.", flush=True)
        return False, []
    tiles = phases.tile_search(sizes, report, expected, Deadline(min(sizes.search_seconds, deadline.left)))
    rows = speed(sizes.key, "key", sizes, report, tiles, chip, deadline)
    phases.training(sizes, report, tiles, deadline)
    rows += speed(others, "other", sizes, report, tiles, chip, deadline)
    print(f"{deadline.left:.0f} of {seconds:.0f} s left", flush=True)
    return True, rows


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
