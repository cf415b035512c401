"""Writes one width of a trained network, or several in one file, for other programs.

    python -m awn_jax.export --workdir=runs/demo --width=0.5 --to=onnx
    python -m awn_jax.export --workdir=runs/demo --widths 1/4 1/2 1 --to=bundle
    python -m awn_jax.export --workdir=runs/demo --to=weights --out=digits.safetensors

What is written is an ordinary network: batch norms folded into the convolutions, no mask, only that width's weights. But
`weights` are the trained network itself, for `awn_jax.load`, with a model card beside the file. What was written is read back
and compared with the trained network before the command ends: on the test images, or, where those are not at hand, on random
ones.
"""

import argparse
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import arguments as types
from awn_jax import data, export, files, hardware, network, weights
from awn_jax import run as runs
from awn_jax.errors import UserError
from awn_jax.evaluation.outputs import outputs_at
from awn_jax.evaluation.totals import metrics
from awn_jax.export import bundle, read, to_flax, to_onnx, to_stablehlo
from awn_jax.tasks import Task
from awn_jax.weights import card

SUFFIXES = {
    "stablehlo": ".stablehlo",
    "onnx": ".onnx",
    "flax": ".py",
    "bundle": ".safetensors",
    "weights": ".safetensors",
}
# What is written for all widths at once.
WHOLE = ("bundle", "weights")
BUNDLE = (0.25, 0.5, 0.75, 1.0)
# Images in a batch, and how many random ones there are.
BATCH, RANDOM = 256, 64
# What the test images that are compared may hold: 1 GiB in float32.
NUMBERS = 1 << 28
# The largest difference, relative to the largest output, that rounding explains, by bytes of the trained network's numbers.
TOLERANCE = {1: 0.2, 2: 0.05, 4: 1e-4, 8: 1e-4}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, metavar="DIR", help="of a run of train.py")
    parser.add_argument("--to", required=True, choices=sorted(SUFFIXES), help="what to write")
    parser.add_argument("--width", type=types.width, metavar="W", help="as 0.5 or 1/3 (default: 1)")
    parser.add_argument(
        "--widths", type=types.width, nargs="+", metavar="W", help="of a bundle (default: 0.25 0.5 0.75 1)"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE",
        help="default: DIR/export/w<width>[_ema].<suffix>, DIR/export/bundle…",
    )
    parser.add_argument("--licence", default="", metavar="TEXT", help="of weights, for their card")
    parser.add_argument("--ema", action="store_true", help="the moving average of the weights, of a run with train.ema")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the run's)")
    arguments = parser.parse_args(argv)
    if arguments.to == "weights" and (arguments.width or arguments.widths):
        parser.error("--to=weights is of all widths, and takes neither --width nor --widths")
    if arguments.to == "bundle" and arguments.width:
        parser.error(f"--to=bundle takes --widths, got --width={arguments.width:g}")
    if arguments.licence and arguments.to != "weights":
        parser.error(f"--licence is for --to=weights, got --to={arguments.to}")
    if arguments.to != "bundle" and arguments.widths:
        parser.error(f"--to={arguments.to} takes one --width, got --widths; only a bundle holds several")
    if arguments.to == "flax" and arguments.out and arguments.out.suffix != ".py":
        parser.error(f"--out must end in .py with --to=flax, got {arguments.out}")
    if arguments.to == "weights" and arguments.out and arguments.out.suffix != ".safetensors":
        parser.error(f"--out must end in .safetensors with --to=weights, got {arguments.out}")
    arguments.at = sorted(set(arguments.widths or BUNDLE)) if arguments.to in WHOLE else [arguments.width or 1.0]
    return arguments


def run(arguments: argparse.Namespace) -> None:
    # ── what to do
    workdir, to, at = arguments.workdir.expanduser(), arguments.to, arguments.at
    opened = runs.open_run(workdir)
    if to == "onnx":
        to_onnx.check_installed()
    path = _place(workdir, arguments)

    # ── the network
    model, step = opened.restore(ema=arguments.ema, data_dir=arguments.data_dir)
    size = opened.facts.image_size
    facts = {"mean": opened.preparation.mean, "std": opened.preparation.std}
    if to == "weights":
        weights.save(path, model, opened.config, opened.facts, step)
        files.write_text(path.with_suffix(".md"), card.of(opened, step, path, arguments.licence, ema=arguments.ema))
    elif to == "stablehlo":
        to_stablehlo.save(to_stablehlo.program(model, size, at[0], **facts), path)
    else:
        obstacle = network.read(model, size).obstacle
        if to == "bundle" and obstacle:
            raise export.ExportError(f"--to=bundle needs narrow networks that are prefixes of wide ones: {obstacle}")
        graphs = [export.lowered(model, size, width, **facts) for width in at]
        if to == "bundle":
            bundle.save(graphs, path)
        else:
            {"onnx": to_onnx.save, "flax": to_flax.save}[to](graphs[0], path)
    print(f"wrote {path} ({path.stat().st_size:,} bytes) of step {step}")

    # ── what it answers
    images, known = _images(opened, arguments.data_dir)
    trained = outputs_at(model, images, opened.preparation, at, batch_size=BATCH)
    prepared = np.asarray(opened.preparation.normalised(jnp.asarray(images.images)))
    for width, wanted in zip(at, trained, strict=True):
        try:
            exported = read.network(path, to, width)
        except ImportError as error:
            print(f"not compared with the trained network: {error}")
            return
        found = np.concatenate([exported(prepared[i : i + BATCH]) for i in range(0, len(prepared), BATCH)])
        largest, difference = np.abs(wanted).max(), np.abs(found - wanted).max()
        scores = ""
        if known:
            task = opened.task.at((width,))
            scores = f"{_score(task, found, images)}, trained {_score(task, wanted, images)}; "
        print(
            f"width {width:g}, {len(images):,} {'test' if known else 'random'} images: {scores}"
            f"outputs, the largest {largest:.1f}, differ by up to {difference:.1e}"
        )
        if not difference <= _tolerance(model) * max(largest, 1):
            raise export.ExportError(f"{path} does not answer as the trained network does: do not use it")


def _place(workdir: pathlib.Path, arguments: argparse.Namespace) -> pathlib.Path:
    """The file to write, in a folder that can be written to."""
    name = arguments.to if arguments.to in WHOLE else f"w{arguments.at[0]:g}"
    name += "_ema" if arguments.ema else ""
    if arguments.to == "flax":
        # A module that can be imported by its name.
        name = name.replace(".", "_")
    out = arguments.out and arguments.out.expanduser()
    path = out or workdir / "export" / f"{name}{SUFFIXES[arguments.to]}"
    folder = files.folder(path.parent, "--out" if out else "--workdir")
    if path.is_dir() or not path.name:
        raise export.ExportError(f"--out must be a file, got {path}")
    return folder / path.name


def _images(opened: runs.Run, data_dir: str | None) -> tuple[data.ImageSet, bool]:
    """Images to compare two networks on, and whether they are the test images."""
    try:
        images = opened.images("test", data_dir)
        return data.in_memory(images.take(max(1, NUMBERS // math.prod(images.image_size)))), True
    except UserError as error:
        if data_dir:
            raise
        print(f"the test images are not at hand, so random ones are taken ({error})")
    values = np.random.default_rng(0).uniform(size=(RANDOM, *opened.facts.image_size)).astype(np.float32)
    return data.ImageSet(values, np.zeros(RANDOM, np.int32), opened.facts.classes), False


def _score(task: Task, outputs: np.ndarray, images: data.ImageSet) -> str:
    """The task's metric of outputs [images, …] of one width, as a table shows it."""
    found = metrics(task, outputs[None], task.targets(images.arrays))
    metric = task.metrics[task.metric]
    return f"{metric.title} {metric.show(float(found[task.metric][0]))}"


def _tolerance(model: nnx.Module) -> float:
    weights = jax.tree.leaves(nnx.state(model, nnx.Param))
    return TOLERANCE[min(leaf.dtype.itemsize for leaf in weights)]


def main() -> None:
    arguments = parse_arguments()
    hardware.start()
    run(arguments)


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
