"""The training step of a run, described without numbers and compiled for chips that need not be there."""

import dataclasses
import math
import re
import time
from typing import Any, cast

import jax
import jax.numpy as jnp
from awn_kernels import target_platform
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from awn_jax import build, data, training
from awn_jax.config import ConfigError
from awn_jax.errors import UserError
from awn_jax.network import cost
from awn_jax.run import Run
from awn_jax.scale import collectives, traffic
from awn_jax.training import sharding

# Of the schedule of the learning rate, which changes no shape.
_STEPS = 1000


class TooLargeError(UserError):
    """A step does not fit into a chip's memory; the message says by how much."""


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one chip while a step runs, as the compiler has planned them.

    Attributes:
        parameters: with statistics and moving averages.
        optimizer: its state.
        images: that the step learns from.
        scratch: activations and what else lives within the step, padded to the chip's tiles.
        program: the code.
        total: of all, with what is not listed.
    """

    parameters: int
    optimizer: int
    images: int
    scratch: int
    program: int
    total: int


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled step.

    Attributes:
        seconds: that compiling took.
        memory: of a chip.
        flops: operations of a chip in a step, as the compiler counts them; a multiply-accumulate is two.
        needed: of these, what the weights that exist ask for by `network.cost`: a product for the outputs, and two for the
            gradients.
        bytes: that a chip reads from its memory and writes to it, see `traffic`.
        sent: what chips send each other in a step.
    """

    seconds: float
    memory: Memory
    flops: float
    needed: float
    bytes: int
    sent: tuple[collectives.Collective, ...]


class Described(data.Feed):
    """Batches of which only the shapes are there: one class for each image.

    Args:
        image_size: height, width and planes.
        batch_size: of all devices together.
        mesh: devices, with an axis `data`.
    """

    def __init__(self, image_size: tuple[int, int, int], batch_size: int, mesh: Mesh):
        self.constants, self.most_steps = {}, 1
        self._shapes = {"image": ((batch_size, *image_size), jnp.uint8), "label": ((batch_size,), jnp.int32)}
        self._sharding = NamedSharding(mesh, PartitionSpec(None, data.BATCH_AXIS))

    def steps(self, start: int, count: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            name: jax.ShapeDtypeStruct((count, *shape), dtype, sharding=self._sharding)
            for name, (shape, dtype) in self._shapes.items()
        }

    def batch(self, constants: dict[str, jax.Array], step: Any) -> dict[str, Any]:
        return cast(dict[str, Any], step)


def compile_step(run: Run, mesh: Mesh) -> Program:
    """Compiles one step of a run that classifies.

    Args:
        run: its config and the facts of its images; its folder is not looked at.
        mesh: devices of a TPU, along the batch.

    Raises:
        ConfigError: if the config cannot train such a network on so many devices.
        TooLargeError: if the step does not fit into the memory of a chip.
    """
    config, size, batch = run.config, run.facts.image_size, run.config.train.batch_size
    if batch % mesh.size:
        raise ConfigError(f"--batch-size must be a multiple of the {mesh.size} chips, got {batch}")
    with target_platform("tpu"):
        model = nnx.eval_shape(
            lambda: build.network(config, size, run.outputs, implementation=config.train.implementation)
        )
        if config.widths.how == "nested" and (obstacle := model.obstacle(size)):
            raise ConfigError(f"widths.how must be 'sequential' for this network: {obstacle}")
        recipe, plan = build.recipe(config, mesh), build.width_plan(config, model)
        optimizer, _ = build.optimizer(config, _STEPS, model)
        feed = Described(size, batch, mesh)
        steps: Any = training.make_train_steps(
            model, optimizer, training.OBJECTIVES[config.widths.how], plan, run.preparation, feed, run.task, recipe
        )
        state = nnx.eval_shape(lambda net: training.init_state(net, optimizer, config.train.seed, recipe), model)
        where = sharding.of(state, mesh, shared=recipe.shared_over is not None)
        state = jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), state, where)
        rows = feed.steps(0, 1)
        start = time.perf_counter()
        compiled = _compiled(steps.lower(state, feed.constants, rows), batch)
        seconds = time.perf_counter() - start
    text, spent = compiled.as_text(), cast(Any, compiled.cost_analysis())
    return Program(
        seconds=seconds,
        memory=_memory(compiled, state, rows),
        # The compiler counts a loop's body once, and the parts of a batch are such a loop.
        flops=recipe.accumulate * spent["flops"],
        needed=3 * 2 * cost(model, size, 1).macs * batch / mesh.size,
        bytes=traffic.read(text),
        sent=tuple(collectives.read(text, mesh.size)),
    )


def _compiled(lowered: Any, batch: int) -> Any:
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if found := re.search(r"Used (\S+) of (\S+) hbm", str(error)):
            raise TooLargeError(
                f"--batch-size must be small enough for the memory of a chip, {found[2]}: {batch} needs {found[1]}. Fewer "
                "images a chip, --config.train.compute=bfloat16 or --config.train.accumulate=N take less"
            ) from None
        raise


def _memory(compiled: Any, state: training.TrainState, rows: Any) -> Memory:
    said = compiled.memory_analysis()
    # Results lie where arguments lay, but for those that do not fit there.
    beside = said.output_size_in_bytes - said.alias_size_in_bytes
    total = said.argument_size_in_bytes + beside + said.temp_size_in_bytes + said.generated_code_size_in_bytes
    return Memory(
        parameters=held((state.params, state.rest, state.ema)),
        optimizer=held(state.opt_state),
        images=held(rows),
        scratch=said.temp_size_in_bytes,
        program=said.generated_code_size_in_bytes,
        total=total,
    )


def held(tree: Any) -> int:
    """Bytes that one device holds of a tree of arrays or their shapes, each with its sharding."""
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)
