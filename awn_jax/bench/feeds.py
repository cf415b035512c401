"""How many pictures a second reach a training step, measured in turns in one process.

    python -m awn_jax.bench.feeds                    # 256 drawn JPEG files of 500 × 375, random crops at 224 × 224
    python -m awn_jax.bench.feeds --torch            # also PyTorch's DataLoader, if torch is installed
    python -m awn_jax.bench.feeds --folder=PATH      # PATH/train/<class>/<picture> instead of drawn ones

Each turn begins the feed anew, leaves its first batch out, and reads `--batches` more: alone, and with a step of a MobileNetV2
that learns from them, whose work on the processors the feed has to share. All feeds decode, crop and flip the same pictures
alike (Pillow), so that what differs is who reads and how batches travel. The last line is JSON: images per second, medians over
rounds, and the ratios to the DataLoader's.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import PIL.Image
import tqdm

from awn_jax import arguments as types
from awn_jax import build, data, hardware, training
from awn_jax import config as configs
from awn_jax.bench import turns
from awn_jax.bench.torch_feed import TorchFeed
from awn_jax.data.feeds.feed import BatchFeed
from awn_jax.data.feeds.host import HostFeed
from awn_jax.data.feeds.workers import WorkerFeed

AUGMENT = "random_resized_crop, flip"
# The model, and the fields in which its config differs from the default one.
NETWORK: tuple[str, Mapping[str, str]] = (
    "mobilenet_v2",
    {"model.multiplier": "0.35", "model.grid": "8", "model.blocks": "(1, 1, 1, 1, 1, 1, 1)"},
)
_FILES, _SIZE = 256, (375, 500)

Make = Callable[[], BatchFeed]


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.bench.feeds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = types.positive(int)
    parser.add_argument("--folder", metavar="PATH", help="of pictures (default: drawn ones)")
    parser.add_argument("--image-size", type=count, default=224, metavar="N", help="pixels each way (default: 224)")
    parser.add_argument("--batch-size", type=count, default=32, help="(default: 32)")
    parser.add_argument("--batches", type=count, default=10, help="of each turn (default: 10)")
    parser.add_argument("--workers", type=count, default=2, help="processes (default: 2)")
    parser.add_argument("--rounds", type=count, default=3, help="how often each is timed (default: 3)")
    parser.add_argument("--torch", action="store_true", help="time PyTorch's DataLoader as well")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    parsed = parse_arguments(argv)
    hardware.start()
    with contextlib.ExitStack() as stack:
        folder = parsed.folder or stack.enter_context(_drawn())
        examples = data.load(f"folder:{folder}", "train", image_size=(parsed.image_size,))
        preparation = data.Preparation((0.5,) * 3, (0.25,) * 3, AUGMENT, size=examples.image_size[:2])
        stream = data.Stream(examples, preparation.transforms, 0, parsed.batch_size)
        made = _feeds(stream, parsed.workers, parsed.torch)
        print(f"{hardware.describe_device()}, {len(examples)} files, batch {parsed.batch_size}", flush=True)
        step = _step(examples, preparation, parsed.batch_size)
        seconds = _measured(made, {"alone": jax.block_until_ready, "with a step": step}, parsed)
    print(json.dumps(_told(seconds, parsed.batch_size * parsed.batches)))


def _feeds(stream: data.Stream, workers: int, torch: bool) -> dict[str, Make]:
    mesh, size = data.data_mesh(), int(np.prod(stream.examples.image_size)) * stream.batch_size
    made: dict[str, Make] = {
        "threads": functools.partial(HostFeed, stream, mesh, size),
        "grain": functools.partial(WorkerFeed, stream, mesh, size, workers),
    }
    if torch:
        if importlib.util.find_spec("torch") is None:
            hardware.fail("--torch needs PyTorch, which is not installed here")
        made["torch"] = functools.partial(TorchFeed, stream, mesh, size, workers)
    return made


def _step(examples: data.Examples, preparation: data.Preparation, batch_size: int) -> Callable[[Any], Any]:
    """A training step on the rows of any feed, which keeps its state; compiled with the first."""
    name, changes = NETWORK
    config = configs.parse(configs.changed(configs.default(name), {**changes, "train.batch_size": str(batch_size)}))
    model = build.network(config, examples.image_size, examples.classes)
    optimizer, _ = build.optimizer(config, 1000, model)
    mesh = data.data_mesh()
    like = HostFeed(data.Stream(examples, preparation.transforms, 0, batch_size), mesh, 1)
    train: Any = training.make_train_steps(
        model, optimizer, training.OBJECTIVES["nested"], build.width_plan(config, model), preparation, like
    )
    state = data.replicate(training.init_state(model, optimizer, 0), mesh)

    def step(rows: Any) -> None:
        nonlocal state
        state, metrics = train(state, {}, rows)
        jax.block_until_ready(metrics)

    step(like.steps(0, 1))
    like.close()
    return step


def _measured(
    made: Mapping[str, Make], uses: Mapping[str, Callable[[Any], Any]], parsed: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of each feed with each use, in every round."""
    seconds: dict[str, list[float]] = {f"{feed}, {use}": [] for use in uses for feed in made}
    for _ in tqdm.trange(parsed.rounds, desc="rounds", leave=False, disable=None):
        for name, use in uses.items():
            for feed, make in made.items():
                seconds[f"{feed}, {name}"].append(_turn(make, use, parsed.batches))
    return seconds


def _turn(make: Make, use: Callable[[Any], Any], batches: int) -> float:
    feed = make()
    try:
        use(feed.steps(0, 1))
        start = time.perf_counter()
        for step in range(1, batches + 1):
            use(feed.steps(step, 1))
        return time.perf_counter() - start
    finally:
        feed.close()


def _told(seconds: Mapping[str, list[float]], images: int) -> dict[str, float]:
    found = {name: round(images / statistics.median(times), 1) for name, times in seconds.items()}
    for name, rate in found.items():
        print(f"{name:24}  {rate:9.1f} images per second", flush=True)
    ratios = {}
    for name in seconds:
        feed, use = name.split(", ")
        rival = f"torch, {use}"
        if rival in seconds and feed != "torch":
            ratios[f"{feed}_vs_torch, {use}"] = round(turns.ratio(seconds, rival, name), 3)
    return {**found, **ratios}


@contextlib.contextmanager
def _drawn() -> Iterator[str]:
    """A folder of pictures that take about as long to decode as photographs: smooth shapes with a little noise."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(_FILES):
            coarse = PIL.Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8))
            smooth = np.asarray(coarse.resize(_SIZE[::-1], PIL.Image.Resampling.BICUBIC), np.int16)
            noisy = np.clip(smooth + draw.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
            path = pathlib.Path(folder) / "train" / "ab"[index % 2] / f"{index:03}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(noisy).save(path, quality=90)
        yield folder


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
