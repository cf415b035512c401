"""Writes one width of a trained network, or several in one file, for other programs.

    python -m awn_jax.export --workdir=runs/lenet_digits --width=0.5 --to=onnx
    python -m awn_jax.export --workdir=runs/lenet_digits --widths 0.25 0.5 0.75 1 --to=bundle

What is written is an ordinary network: batch norms folded into the convolutions, no mask, only that width's weights. It is
read back and compared with the trained network on the test images before the command ends.
"""

import argparse
import pathlib

import jax.numpy as jnp
import numpy as np

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import data, experiment, export, platform
from awn_jax.evaluation.logits import logits_at
from awn_jax.export import bundle, flax, onnx, read, stablehlo
from awn_jax.training import checkpoints

SUFFIXES = {"stablehlo": ".stablehlo", "onnx": ".onnx", "flax": ".py", "bundle": ".safetensors"}
BUNDLE = (0.25, 0.5, 0.75, 1.0)
SAVE = {"stablehlo": stablehlo.save, "onnx": onnx.save, "flax": flax.save}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, metavar="DIR", help="of a run of train.py")
    parser.add_argument("--to", required=True, choices=sorted(SUFFIXES), help="what to write")
    parser.add_argument("--width", type=types.width, metavar="W", help="in (0, 1]; not of a bundle (default: 1)")
    parser.add_argument(
        "--widths",
        type=types.width,
        nargs="+",
        metavar="W",
        help="of a bundle (default: 0.25 0.5 0.75 1)",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FILE", help="default: DIR/export/w<width>.<suffix>, DIR/export/bundle.…"
    )
    arguments = parser.parse_args(argv)
    if arguments.to == "bundle" and arguments.width:
        parser.error(f"--to=bundle takes --widths, got --width={arguments.width:g}")
    if arguments.to != "bundle" and arguments.widths:
        parser.error(f"--to={arguments.to} takes one --width, got --widths; only a bundle holds several")
    if arguments.to == "flax" and arguments.out and arguments.out.suffix != ".py":
        parser.error(f"--out must end in .py with --to=flax, got {arguments.out}")
    arguments.at = sorted(set(arguments.widths or BUNDLE)) if arguments.to == "bundle" else [arguments.width or 1.0]
    return arguments


def run(arguments: argparse.Namespace) -> None:
    config = configs.load(arguments.workdir / "config.json")
    images = experiment.load_data(config, "test")
    model, step = experiment.restore(config, arguments.workdir, images, data.data_mesh())
    preparation, to, at = experiment.preparation(config), arguments.to, arguments.at
    if to == "bundle" and not model.keeps_prefix:
        raise configs.ConfigError(
            f"--to=bundle needs triangular layers, {arguments.workdir} has {config.model.conv} ones"
        )
    height, breadth, planes = images.images.shape[1:]
    facts = {"mean": preparation.mean, "std": preparation.std}
    graphs = [export.ordinary(model, (height, breadth, planes), width, **facts) for width in at]
    name = "bundle" if to == "bundle" else f"w{at[0]:g}"
    if to == "flax":
        # A module that can be imported by its name.
        name = name.replace(".", "_")
    path = arguments.out or arguments.workdir / "export" / f"{name}{SUFFIXES[to]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "bundle":
        bundle.save(graphs, path)
    else:
        SAVE[to](graphs[0], path)
    print(f"wrote {path} ({path.stat().st_size:,} bytes) of step {step}")

    expected = logits_at(model, images, preparation, at)
    prepared = np.asarray(preparation.normalised(jnp.asarray(images.images)))
    for width, wanted in zip(at, expected, strict=True):
        try:
            found = read.READ[to](path, width)(prepared)
        except ImportError as error:
            print(f"not compared with the trained network: {error}")
            return
        top1 = 100 * (found.argmax(-1) == images.labels).mean()
        same = "the same" if (found.argmax(-1) == wanted.argmax(-1)).all() else "NOT the same"
        print(
            f"width {width:g}: top-1 {top1:.2f} % of {len(images):,} test images, {same} answers as the trained network; "
            f"logits, the largest {np.abs(wanted).max():.1f}, differ by up to {np.abs(found - wanted).max():.1e}"
        )


def main() -> None:
    arguments = parse_arguments()
    platform.start()
    try:
        run(arguments)
    except (export.ExportError, configs.ConfigError, data.DataError, checkpoints.CheckpointError, OSError) as error:
        platform.fail(error)


if __name__ == "__main__":
    main()
