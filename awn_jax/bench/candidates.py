"""What is timed: training steps and sweeps of one network."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import build, data, training
from awn_jax.config import Config
from awn_jax.evaluation.scorers import make_program
from awn_jax.evaluation.totals import Program, Totals
from awn_jax.training import plan as plans

FOUR = (0.25, 0.5, 0.75, 1.0)

Call = Callable[[], None]


@dataclasses.dataclass
class Step:
    """A training step, compiled: calling it does one and waits for it.

    Attributes:
        compile_seconds: what tracing and compiling took.
        scratch_bytes: peak memory besides state and images, as planned by the compiler.
        run: does a step.
    """

    compile_seconds: float
    scratch_bytes: int
    run: Call

    def __call__(self) -> None:
        self.run()


def steps(config: Config, image_size: tuple[int, int, int], classes: int) -> dict[str, Step]:
    """Training steps by name.

    Args:
        config: of the network and the step; its family must nest.
        image_size: height, width and planes.
        classes: number of classes.
    """
    images = _random_images(8 * config.train.batch_size, image_size, classes)
    outputs = build.task(config).outputs(classes)
    model = build.network(config, image_size, outputs, implementation=config.train.implementation)
    four = plans.fixed([max(width, config.widths.minimum) for width in FOUR])
    plan_of = {
        "full width only": ("nested", plans.fixed((1.0,))),
        "all widths, nested": ("nested", build.width_plan(config, model)),
        "four widths, sequential": ("sequential", four),
    }
    return {name: _step(config, model, images, how, plan) for name, (how, plan) in plan_of.items()}


def _step(config: Config, model: nnx.Module, images: data.ImageSet, how: str, plan: plans.WidthPlan) -> Step:
    mesh = data.data_mesh()
    optimizer, _ = build.optimizer(config, 1000, model)
    feed = build.feed(config, images, mesh)
    preparation = data.Preparation((0.3,) * images.image_size[2], (0.3,) * images.image_size[2])
    train: Any = training.make_train_steps(
        model, optimizer, training.OBJECTIVES[how], plan, preparation, feed, build.task(config)
    )
    state = data.replicate(training.init_state(model, optimizer, 0), mesh)
    rows = feed.steps(0, 1)
    start = time.perf_counter()
    compiled = train.lower(state, feed.constants, rows).compile()
    seconds = time.perf_counter() - start

    def run() -> None:
        nonlocal state
        state, metrics = compiled(state, feed.constants, rows)
        metrics["loss"].block_until_ready()

    return Step(seconds, compiled.memory_analysis().temp_size_in_bytes, run)


def sweeps(config: Config, image_size: tuple[int, int, int], classes: int, batch_size: int) -> dict[str, Call]:
    """Scoring one batch at full width only, and at every width.

    Args:
        config: of the network.
        image_size: height, width and planes.
        classes: number of classes.
        batch_size: images that are scored together.
    """
    task = build.task(config)
    model = build.network(config, image_size, task.outputs(classes))
    model.eval()
    images = _random_images(batch_size, image_size, classes)
    batch, counted = jax.tree.map(jnp.asarray, images.arrays), jnp.ones(batch_size, bool)
    state = nnx.split(model)[1]
    preparation = data.Preparation((0.3,) * image_size[2], (0.3,) * image_size[2])
    found: dict[str, Call] = {}
    for name, at in (
        ("sweep of full width", (1.0,)),
        ("sweep of all widths", build.width_plan(config, model).widths),
    ):
        program, totals = make_program(model, at, preparation, task), Totals(task, len(at), data.data_mesh())

        def run(program: Program = program, totals: Totals = totals) -> None:
            program.add(totals, batch, counted, state, batch["image"])
            jax.block_until_ready(totals.sums)

        found[name] = run
    return found


def _random_images(count: int, image_size: tuple[int, int, int], classes: int) -> data.ImageSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, *image_size), np.uint8)
    return data.ImageSet(images, draw.integers(0, classes, count).astype(np.int32), classes)
