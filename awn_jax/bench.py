"""How fast one pass for all widths is, measured side by side in one process.

    python -m awn_jax.bench              # the real step: batch 128 of Fashion-MNIST's shape, LeNet-3C1L, 45 channels
    python -m awn_jax.bench --torch      # also a PyTorch step of the same work, if torch is installed

Rounds of A B C …, A B C …, so that a change of the machine's speed meets all alike; ratios are medians over rounds. The last
line is JSON: `nested_vs_full`, `nested_vs_sequential`, `sweep_vs_full` (times relative to the second named; below 1 is faster)
and `step_seconds` of the nested step.
"""

import argparse
import functools
import importlib.metadata
import json
import platform as machine
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from flax import nnx

from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, platform, training, widths
from awn_jax.training import plan as plans

IMAGE_SIZE, CLASSES, SWEEP_BATCH = (28, 28, 1), 10, 1000


def make_steps(batch_size: int, channels: int) -> dict[str, Callable[[], None]]:
    """The training steps to compare, each a function that does one step and waits for it."""
    config = configs.parse({"model": {"channels": channels}, "train": {"batch_size": batch_size}})
    mesh = data.data_mesh()
    images = _random_images(8 * batch_size)
    steps = {}
    model = experiment.make_model(config, IMAGE_SIZE, CLASSES)
    every, four = experiment.make_plan(config, model), plans.fixed((0.25, 0.5, 0.75, 1.0))
    for name, how, plan in (
        ("full width only", "nested", plans.fixed((1.0,))),
        ("all widths, nested", "nested", every),
        ("four widths, nested", "nested", four),
        ("four widths, sequential", "sequential", four),
    ):
        steps[name] = _step(config, model, images, mesh, how, plan)
    return steps


def _step(config, model, images, mesh, how, plan) -> Callable[[], None]:
    optimizer, _ = experiment.make_optimizer(config, 1000)
    feed = experiment.make_feed(config, images, mesh)
    preparation = experiment.preparation(config)
    train = training.make_train_steps(model, optimizer, training.OBJECTIVES[how], plan, preparation, feed)
    state = data.replicate(training.init_state(model, optimizer, 0), mesh)
    rows = feed.steps(0, 1)

    def step() -> None:
        nonlocal state
        state, metrics = train(state, feed.constants, rows)
        metrics["loss"].block_until_ready()

    return step


def make_sweeps(channels: int) -> dict[str, Callable[[], None]]:
    """Scoring one batch at full width only, and at every width."""
    config = configs.parse({"model": {"channels": channels}})
    model = experiment.make_model(config, IMAGE_SIZE, CLASSES)
    model.eval()
    every = experiment.make_plan(config, model).widths
    images = _random_images(SWEEP_BATCH)
    batch = jnp.asarray(images.images), jnp.asarray(images.labels), jnp.ones(SWEEP_BATCH, bool)
    state = nnx.split(model)[1]
    sweeps: dict[str, Callable[[], None]] = {}
    for name, at in (("sweep of full width", (1.0,)), ("sweep of all widths", every)):
        score = evaluation.make_scorer(model, at, experiment.preparation(config))
        sweeps[name] = functools.partial(_run, score, state, *batch)
    return sweeps


def _run(score: Callable, *arguments: Any) -> None:
    jax.block_until_ready(score(*arguments))


def _random_images(count: int) -> data.ImageSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, *IMAGE_SIZE), np.uint8)
    return data.ImageSet(images, draw.integers(0, CLASSES, count).astype(np.int32), CLASSES)


def make_torch_step(batch_size: int, channels: int, threads: int) -> Callable[[], None]:
    """The same work in PyTorch as one would write it there: masked dense convolutions, a pass for each of four widths.

    Raises:
        ModuleNotFoundError: if PyTorch is not installed.
    """
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    draw = torch.Generator().manual_seed(0)
    axis = widths.Axis.of(channels)

    def weights(*shape: int) -> torch.Tensor:
        bound = float(np.prod(shape[1:])) ** -0.5
        return (torch.rand(shape, generator=draw) * 2 - 1).mul_(bound).requires_grad_()

    sizes = ((1, 3), (channels, 3), (channels, 5))
    kernels = [weights(channels, inputs, size, size) for inputs, size in sizes]
    scales = [torch.ones(channels, requires_grad=True) for _ in sizes]
    shifts = [torch.zeros(channels, requires_grad=True) for _ in sizes]
    running = [(torch.zeros(channels), torch.ones(channels)) for _ in sizes]
    dense, bias = weights(CLASSES, channels * 16), torch.zeros(CLASSES, requires_grad=True)
    triangle = torch.tril(torch.ones(channels, channels))[:, :, None, None]
    optimizer = torch.optim.SGD([*kernels, *scales, *shifts, dense, bias], lr=0.01, momentum=0.9)
    images = torch.randn((batch_size, 1, 28, 28), generator=draw)
    labels = torch.randint(0, CLASSES, (batch_size,), generator=draw)

    def forward(k: int) -> torch.Tensor:
        x = images
        for layer, (inputs, _) in enumerate(sizes):
            kernel = kernels[layer] * triangle if inputs > 1 else kernels[layer]
            x = F.conv2d(x, kernel[:k, : min(k, inputs)])
            mean, var = (value[:k] for value in running[layer])
            x = F.relu(F.batch_norm(x, mean, var, scales[layer][:k], shifts[layer][:k], training=True))
            x = F.max_pool2d(x, 2) if layer else x
        return F.linear(x.flatten(1), dense[:, : 16 * k], bias)

    def step() -> None:
        optimizer.zero_grad()
        for width in (0.25, 0.5, 0.75, 1.0):
            F.cross_entropy(forward(axis.active(width)), labels).backward()
        optimizer.step()

    return step


def interleaved(candidates: Mapping[str, Callable[[], None]], rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; every round runs all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for index in tqdm.trange(rounds + warmup, desc="rounds", leave=False, disable=None):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if index >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over rounds of the time of one candidate relative to another's."""
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128, help="of the training step (default: 128)")
    parser.add_argument("--channels", type=int, default=45, help="of each layer (default: 45)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is timed (default: 15)")
    parser.add_argument("--torch", action="store_true", help="time a PyTorch step of four widths as well")
    parser.add_argument("--torch-threads", type=int, default=2, help="threads of that step (default: 2)")
    arguments = parser.parse_args()
    for name in ("batch_size", "channels", "rounds", "torch_threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(arguments, name)}")
    platform.start()
    candidates = make_steps(arguments.batch_size, arguments.channels)
    if arguments.torch:
        try:
            candidates["PyTorch, four widths"] = make_torch_step(
                arguments.batch_size, arguments.channels, arguments.torch_threads
            )
        except ModuleNotFoundError:
            parser.error("--torch needs PyTorch, which is not installed here")
    seconds = interleaved(candidates, arguments.rounds) | interleaved(make_sweeps(arguments.channels), arguments.rounds)
    device = jax.devices()[0].device_kind
    print(f"{machine.processor() or machine.machine()}, {device}, jax {importlib.metadata.version('jax')}, ", end="")
    print(f"batch {arguments.batch_size}, {arguments.channels} channels, {arguments.rounds} rounds")
    print(f"{'':24}  {'median ms':>9}  {'least ms':>9}  {'most ms':>9}")
    for name, times in seconds.items():
        print(f"{name:24}  {1e3 * statistics.median(times):9.1f}  {1e3 * min(times):9.1f}  {1e3 * max(times):9.1f}")
    nested, sequential = "all widths, nested", "four widths, sequential"
    result = {
        "nested_vs_full": ratio(seconds, nested, "full width only"),
        "nested_vs_sequential": ratio(seconds, nested, sequential),
        "sweep_vs_full": ratio(seconds, "sweep of all widths", "sweep of full width"),
        "step_seconds": statistics.median(seconds[nested]),
    }
    if arguments.torch:
        result["nested_vs_torch"] = ratio(seconds, nested, "PyTorch, four widths")
    print(json.dumps({name: round(value, 5) for name, value in result.items()}))


if __name__ == "__main__":
    main()
