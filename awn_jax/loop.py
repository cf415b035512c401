"""Training from a config to a finished run; `awn_jax.train` and the paper's harness call it."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awn_jax import board, build, data, files, hardware, hosts, run, sealed, training, weights
from awn_jax.config import Config, ConfigError, flat
from awn_jax.errors import UserError
from awn_jax.logs import Hook, Logs
from awn_jax.models import AnyWidthNetwork
from awn_jax.network import read
from awn_jax.run import Run
from awn_jax.training import calibration, checkpoints, interrupts, progress, sharding
from awn_jax.validation import Validation

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What training has come to.

    Attributes:
        run: the workdir.
        model: the network as it is now.
        ema: the moving average of the network, where the config asks for it.
        step: steps done.
        stopped: by what, if before the last step; nothing otherwise.
        test_images: which were read before training began.
    """

    run: Run
    model: AnyWidthNetwork
    step: int
    stopped: str
    test_images: data.Examples
    ema: AnyWidthNetwork | None = None


def train(
    config: Config,
    workdir: pathlib.Path | str,
    *,
    quiet: bool = False,
    on_log: Hook | None = None,
) -> Outcome:
    """Trains one network, or goes on where a run was cut off, and ends bit for bit where an uninterrupted run ends.

    The workdir holds `config.json` and `run.json`, `metrics.jsonl`, checkpoints, and `finished.json` once training has ended.

    Args:
        config: of the run.
        workdir: local folder, made if it is not there; one process at a time writes to it.
        quiet: print nothing.
        on_log: called with the step and its metrics at every line of `metrics.jsonl`, by the process that writes it.

    Raises:
        ConfigError: if the config makes no sense, the workdir holds a run with another one, or one pass for all widths is asked
            for and the network does not keep the prefix property.
        NotWritableError, InUseError: if the workdir cannot be written to.
        DataError: if the images cannot be had.
        RunError: if the workdir holds a run of other images.
        CheckpointError: if a checkpoint cannot be read or written.
        NonFiniteError: if loss or weights leave the finite numbers.
        BoardError: if the config asks for TensorBoard's files, and what writes them is not installed.
        HookError: if `on_log` fails.
    """
    if config.log.tensorboard:
        board.check_installed()
    first = jax.process_index() == 0
    say: Say = progress.banner if first and not quiet else lambda text: None
    with hosts.together():
        folder = files.folder(workdir, "workdir", run.FILES)
        claimed = files.claim(folder) if first else None
    try:
        return _train(config, folder, say, first, quiet, on_log)
    finally:
        if claimed:
            claimed.close()


def _train(
    config: Config,
    folder: pathlib.Path,
    say: Say,
    first: bool,
    quiet: bool,
    on_log: Hook | None,
) -> Outcome:
    # ── what to do
    mesh = data.data_mesh()
    with hosts.together():
        images = build.images(config, "train")
        this = run.begin(folder, config, images)
        test_images = this.images("test")
    say(
        f"{folder.name}: {len(images):,} images of {config.data.name}, {mesh.size} {jax.devices()[0].device_kind} device(s)"
    )
    model = build.network(config, images.image_size, this.outputs, implementation=config.train.implementation)
    steps = build.steps(config, len(images))
    optimizer, learning_rate = build.optimizer(config, steps, model)
    plan, recipe = build.width_plan(config, model), build.recipe(config, mesh)
    feed = build.feed(config, images, mesh, this.preparation.transforms)
    build.check_transforms(config, images, this.preparation)
    validation = Validation.of(this, model, mesh, steps, len(images))
    if config.widths.how == "nested":
        sample = this.preparation.normalised(jnp.asarray(data.in_memory(images.take(32)).images))
        report = model.trust(sample)
        if report is not None and report:
            say(f"{', '.join(read(model, images.image_size).foreign)}: tried on real images, {report}")
        if obstacle := model.obstacle(images.image_size):
            why = f"{obstacle}; {report}" if report is not None else obstacle
            raise ConfigError(f"widths.how must be 'sequential' for this network: {why}")
    objective = training.OBJECTIVES[config.widths.how]
    train_steps = training.make_train_steps(
        model, optimizer, objective, plan, this.preparation, feed, this.task, recipe
    )

    # ── where to begin
    begun_before = (folder / "config.json").exists()
    own = {name: value for name, value in flat(config).items() if name != "data.data_dir"}
    hosts.check_same(
        {**own, "images": this.facts.fingerprint, "workdir": str(folder.resolve()), "run in it": begun_before}
    )
    store = this.store(create=True)
    keep = config.train.snapshots
    snapshots = checkpoints.Checkpoints(folder / "snapshots", keep=None) if keep else None
    marks = set(np.linspace(0, steps, keep + 1).astype(int).tolist()) if keep else set()
    if config.train.init_from and store.latest_step() is None:
        left = weights.begin_from(config.train.init_from, model)
        say(f"beginning from {config.train.init_from}" + (f"; {', '.join(left)} is new" if left else ""))
    state = training.init_state(model, optimizer, config.train.seed, recipe)
    if store.latest_step() is None:
        state = data.place(state, sharding.of(state, mesh, shared=config.train.shard_optimizer))
    else:
        state = store.restore(state, mesh, shared=config.train.shard_optimizer)
        say(f"going on from step {int(state.step)}")
    begun_at = int(state.step)
    with hosts.together():
        if first and begun_at < steps:
            count = max(1, 2 - len(store.steps())) + (keep - len(snapshots.steps()) if snapshots else 0)
            checkpoints.check_room(folder, state, count)
        if first:
            run.save(this)
    say(f"{steps - begun_at} of {steps} steps, {plan.passes} widths each, {config.widths.how}")
    if first and begun_at < steps:
        facts = {"hardware": hardware.describe_device(), "versions": hardware.describe_software()}
        sealed.write(folder / "environment.json", facts)
        (folder / "finished.json").unlink(missing_ok=True)

    # ── train
    started = time.monotonic()
    logs = None
    if first:
        board_too, ended = config.log.tensorboard, begun_at == steps
        logs = Logs(folder, begun_at, plan.widths, tensorboard=board_too, on_log=on_log, ended=ended)
        if logs.lost:
            say(logs.lost)
    shown = not quiet and first
    loop = _Loop(this, steps, len(images), learning_rate, store, snapshots, marks, validation, logs, quiet=not shown)
    try:
        state, stopped = loop.run(state, train_steps, feed, say)
    except training.NonFiniteError:
        store.close()
        if first and not begun_before and store.latest_step() is None:
            # Nothing of it is kept, so the folder is free for another try.
            for name in ("config.json", "run.json"):
                (folder / name).unlink(missing_ok=True)
        raise
    except UserError:
        store.close()
        raise
    finally:
        loop.close()
        feed.close()
        if snapshots:
            snapshots.close()
    if stopped:
        store.save(state, wait=True)
        store.close()
        network, average = _networks(model, state)
        return Outcome(this, network, int(state.step), stopped, test_images, average)
    say(f"trained in {time.monotonic() - started:.0f} s (this run)")
    network, average = _networks(model, state)
    if not calibration.calibrated(network):
        say("computing batch-norm statistics from the training images, width by width")
        build.calibrate(config, network, images, this.preparation, mesh, progress=shown)
        state = dataclasses.replace(state, rest=data.replicate(training.split(network)[2], mesh))
    if average is not None and begun_at < steps:
        say("computing the batch-norm statistics of the averaged weights from the training images")
        build.recompute_statistics(config, average, images, this.preparation, mesh)
        state = dataclasses.replace(state, ema=data.replicate(training.split(average)[1:], mesh))
    if validation:
        say(validation.told(network))
    store.save(state, wait=True)
    store.close()
    if first:
        sealed.write(folder / "finished.json", {"step": steps})
    return Outcome(this, network, steps, "", test_images, average)


def _networks(model: AnyWidthNetwork, state: training.TrainState) -> tuple[AnyWidthNetwork, AnyWidthNetwork | None]:
    """The network of a state and, where one is kept, its moving average; in inference mode."""
    network = training.merge(model, state)
    average = None if state.ema is None else training.merge(model, state, ema=True)
    for each in filter(None, (network, average)):
        each.eval()
    return network, average


class _Loop:
    """The steps from one state to the last, with what is told and kept on the way."""

    def __init__(
        self,
        this: Run,
        steps: int,
        count: int,
        learning_rate: Callable[[int], Any],
        store: checkpoints.Checkpoints,
        snapshots: checkpoints.Checkpoints | None,
        marks: set[int],
        validation: Validation | None,
        logs: Logs | None,
        *,
        quiet: bool,
    ):
        self.settings = this.config.train
        self.steps, self.count, self.learning_rate = steps, count, learning_rate
        self.store, self.snapshots, self.marks = store, snapshots, marks
        self.validation, self.logs, self.quiet = validation, logs, quiet
        self.bar: progress.Progress | None = None

    def run(self, state: Any, train_steps: Callable[..., Any], feed: data.Feed, say: Say) -> tuple[Any, str]:
        """Steps until the last one or a signal; the state then, and which signal, or nothing."""
        settings, step = self.settings, int(state.step)
        begun_at, began = step, time.monotonic()
        chunk = min(settings.steps_per_dispatch or hardware.steps_per_dispatch(), feed.most_steps)
        stops = self.marks | {self.steps} | (self.validation.steps if self.validation else set())
        self.bar = progress.Progress(self.steps, step, hidden=self.quiet)
        due_at = time.monotonic() + 60 * settings.checkpoint_minutes
        logged_at, logged_step = time.monotonic(), step
        stop, stopped = interrupts.Interrupts(), False
        # Operations that are not compiled bring their constants along.
        guard = "allow" if jax.config.values["jax_disable_jit"] else "disallow"
        with stop:
            while step < self.steps and not stopped:
                count = min(chunk - step % chunk, *(s - step for s in stops if s > step))
                rows = feed.steps(step, count)
                with jax.transfer_guard(guard):
                    state, metrics = train_steps(state, feed.constants, rows)
                values = jax.device_get(metrics)
                self._check_finite(values, step)
                if step == begun_at:
                    say(f"first step done after {time.monotonic() - began:.1f} s")
                    logged_at, logged_step = time.monotonic(), step + count
                step += count
                self.bar.advance(count, float(values["loss"][-1]))
                scored = self.validation(state) if self.validation and step in self.validation.steps else {}
                if step // settings.log_every > (step - count) // settings.log_every or step == self.steps or scored:
                    now = time.monotonic()
                    rate = (step - logged_step) * settings.batch_size / max(now - logged_at, 1e-9)
                    self._log(step, values, rate, scored)
                    logged_at, logged_step = now, step
                if self.snapshots and step in self.marks:
                    self.snapshots.save(state)
                # Saving is something that all processes do together, whoever's clock or signal asks for it.
                due, stopped = hosts.agreed(time.monotonic() >= due_at, stop.caught is not None)
                if step < self.steps and due:
                    self.store.save(state)
                    due_at = time.monotonic() + 60 * settings.checkpoint_minutes
        return state, "" if step == self.steps else stop.caught or "another process was stopped"

    def close(self) -> None:
        """Ends what is shown and written."""
        if self.bar:
            self.bar.close()
        if self.logs:
            self.logs.close()

    def _log(self, step: int, values: Mapping[str, Any], rate: float, scored: Mapping[str, float]) -> None:
        if self.logs is None:
            return
        line = {
            "step": step,
            "epoch": round(step * self.settings.batch_size / self.count, 4),
            **{key: float(value[-1]) for key, value in values.items() if key.startswith("loss") and value.ndim == 1},
            "learning_rate": float(np.asarray(self.learning_rate(step - 1))),
            "images_per_second": round(rate, 1),
            **scored,
        }
        self.logs.write(line, values["losses"][-1])

    def _check_finite(self, values: Mapping[str, Any], step: int) -> None:
        if values["finite"].all():
            return
        index = int(np.argmin(values["finite"]))
        kept = self.store.latest_step()
        advice = (
            f"The checkpoint of step {kept} in {self.store.folder} is kept; try a lower learning rate in another workdir"
            if kept
            else "Nothing of it is kept; try a lower learning rate"
        )
        raise training.NonFiniteError(
            f"loss or weights are not finite at step {step + 1 + index} (loss {values['loss'][index]}, "
            f"train.learning_rate={self.settings.learning_rate}). {advice}"
        )
