"""Makes a run of an ordinary network's weights, so that all commands can use them.

    python -m awn_jax.convert resnet18.pth --config=configs/resnet50_imagenet.py:single_100 --config.model.depth=18 \\
        --workdir=runs/resnet18 --image-size=224,224,3 --classes=1000
    python -m awn_jax.convert mine.safetensors --config=configs/lenet_mnist.py:single_100 --workdir=runs/mine

The file holds a state_dict of PyTorch's, or safetensors; nothing in it is executed. The names of its layers are those of
torchvision, or of the PyTorch networks for CIFAR that are in common use. The config says which network it is: an ordinary one
(`:single_100`). Its training images say what the network has to know of them; --image-size and --classes do so where they are
not at hand.
"""

import argparse
import hashlib
import pathlib
import sys
from collections.abc import Sequence

from awn_jax import arguments as types
from awn_jax import build, convert, data, families, files, hardware, training
from awn_jax import config as configs
from awn_jax import run as runs
from awn_jax.convert import ConvertError


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=pathlib.Path, metavar="FILE", help="a state_dict of PyTorch's, or safetensors")
    parser.add_argument(
        "--config", required=True, metavar="FILE[:METHOD]", help="of an ordinary network, as :single_100"
    )
    parser.add_argument("--workdir", required=True, metavar="DIR", help="of the run that is made")
    parser.add_argument(
        "--image-size", type=types.image_size, metavar="H,W,P", help="where the training images are not at hand"
    )
    parser.add_argument("--classes", type=types.positive(int), metavar="N", help="likewise")
    parser.add_argument("--partial", action="store_true", help="leave what does not fit as it is, with random weights")
    given, changes = configs.take_changes(argv)
    parsed = parser.parse_args(given)
    if (parsed.image_size is None) != (parsed.classes is None):
        parser.error("--image-size and --classes must be given together")
    return parsed, changes


def main(argv: Sequence[str]) -> None:
    parsed, changes = parse_arguments(argv)
    config = configs.read(parsed.config, changes)
    hardware.start()

    # ── what there is
    if config.model.options.family in families.NESTED:
        raise ConvertError(
            f"--config must be of an ordinary network, as {parsed.config.partition(':')[0]}:single_100, got family "
            f"{config.model.options.family!r}: a triangular one can begin from it (train.init_from), and needs training"
        )
    names = convert.names_of(config.model.name, config.model.options)
    arrays = convert.read(parsed.file)
    folder = files.folder(parsed.workdir, "--workdir")
    if (folder / "config.json").exists():
        raise ConvertError(f"--workdir must not hold a run, got {folder}")
    if parsed.classes:
        if not config.data.mean:
            raise ConvertError("config.data.mean and std must be given where the training images are not at hand")
        moments = config.data.mean, config.data.std
        facts = runs.Facts(parsed.image_size, parsed.classes, (), *moments, fingerprint="", count=0)
    else:
        facts = runs.Facts.of(config, build.images(config, "train"))

    # ── the network
    run = runs.Run(folder, config, facts)
    network = run.network()
    report = convert.fill(network, arrays, names, partial=parsed.partial)
    print(report)

    # ── the run
    optimizer, _ = build.optimizer(config, build.steps(config, max(facts.count, config.train.batch_size)), network)
    recipe = build.recipe(config, data.data_mesh())
    store = run.store(create=True)
    store.save(training.init_state(network, optimizer, config.train.seed, recipe), wait=True)
    store.close()
    sha256 = hashlib.sha256(parsed.file.expanduser().read_bytes()).hexdigest()
    files.write_json(folder / "converted.json", {"file": parsed.file.name, "sha256": sha256})
    runs.save(run)
    print(f"wrote {folder}: as of a run of train.py, with step 0")


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
