"""Trains one any-width network, so that it runs at every width, and sweeps them.

    python train.py --config=configs/lenet_fmnist.py --workdir=runs/lenet_fmnist --config.train.epochs=3

The workdir holds `config.json`, `metrics.jsonl`, checkpoints and the final sweep. The same command goes on where a run was
cut off, and ends where it would have ended.
"""

import dataclasses
import itertools
import os
import pathlib
import sys
import time

import jax
import numpy as np
from absl import app, flags, logging
from ml_collections import config_flags

from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, files, methods, platform, training
from awn_jax.evaluation import report
from awn_jax.training import calibration, checkpoints, interrupts, progress

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Experiment, a file of configs/, with :METHOD for one of awn_jax/methods.py; --config.train.epochs=3 and "
    "the like change its fields.",
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and the sweep; runs/<config> if not given."
)
MULTIHOST = flags.DEFINE_bool("multihost", False, "Join the other processes of this run before anything else.")
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "host:port of process 0; found by itself on TPU, Slurm, Kubernetes."
)
PROCESSES = flags.DEFINE_integer("processes", None, "Number of processes, with --coordinator.")
PROCESS = flags.DEFINE_integer("process", None, "Number of this process from 0, with --coordinator.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise configs.ConfigError(f"unknown argument {argv[1]!r}; fields are set as --config.train.epochs=3")
    if CONFIG.value is None:
        raise configs.ConfigError("--config must name an experiment, such as configs/lenet_fmnist.py")
    filename, method = existing_config(sys.argv)
    started = time.monotonic()
    logging.set_verbosity(logging.WARNING)
    if MULTIHOST.value:
        jax.distributed.initialize(COORDINATOR.value, PROCESSES.value, PROCESS.value)
    platform.start()
    first_process = jax.process_index() == 0
    say = progress.banner if first_process else lambda text: None

    # ── what to do
    config = configs.parse(CONFIG.value)
    name = "_".join(filter(None, (filename.stem, method)))
    workdir = pathlib.Path(WORKDIR.value or pathlib.Path("runs") / name)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise configs.ConfigError(f"--workdir must be a folder or not there yet, got {workdir}") from error
    claimed = files.claim(workdir) if first_process else None
    saved = workdir / "config.json"
    if saved.exists():
        configs.check_same_run(configs.load(saved), config, workdir)

    # ── images, network, optimiser
    mesh = data.data_mesh()
    images, test_images = experiment.load_both(config)
    say(f"{name}: {len(images):,} images of {config.data.name}, {mesh.size} {jax.devices()[0].device_kind} device(s)")
    model = experiment.make_model(config, images.images.shape[1:], images.classes)
    steps = experiment.count_steps(config, len(images))
    optimizer, learning_rate = experiment.make_optimizer(config, steps)
    plan = experiment.make_plan(config, model)
    feed = experiment.make_feed(config, images, mesh, on_device=False if MULTIHOST.value else None)
    train_steps = training.make_train_steps(
        model,
        optimizer,
        training.OBJECTIVES[config.widths.how],
        plan,
        experiment.preparation(config),
        feed,
    )
    if first_process:
        configs.save(config, saved)

    # ── where to begin
    store = checkpoints.Checkpoints(workdir / "checkpoints")
    snapshots = checkpoints.Checkpoints(workdir / "snapshots", keep=None) if config.train.snapshots else None
    snapshot_steps = set(np.linspace(0, steps, config.train.snapshots + 1).astype(int).tolist())
    state = training.init_state(model, optimizer, config.train.seed)
    if store.latest_step() is None:
        state = data.replicate(state, mesh)
    else:
        state = store.restore(state, mesh)
        say(f"going on from step {int(state.step)}")
    step = begun_at = int(state.step)
    say(f"{steps - step} of {steps} steps, {plan.passes} widths each, {config.widths.how}")
    if first_process and step < steps:
        facts = {"hardware": platform.describe_device(), "versions": platform.describe_software()}
        files.write_json(workdir / "environment.json", facts)
        # Of an unfinished network, if eval_sweep.py was asked for one: its being there says that the run has ended.
        (workdir / "sweep.json").unlink(missing_ok=True)

    # ── train
    chunk = config.train.steps_per_dispatch or platform.steps_per_dispatch()
    log = progress.MetricsLog(workdir / "metrics.jsonl", step) if first_process else None
    bar = progress.Progress(steps, step, hidden=not first_process)
    checkpoint_due = time.monotonic() + 60 * config.train.checkpoint_minutes
    logged_at, logged_step = time.monotonic(), step
    stop = interrupts.Interrupts()
    stopped = False
    with stop:
        while step < steps and not stopped:
            count = min(chunk - step % chunk, *(s - step for s in snapshot_steps | {steps} if s > step))
            rows = feed.steps(step, count)
            with jax.transfer_guard("disallow"):
                state, metrics = train_steps(state, feed.constants, rows)
            values = jax.device_get(metrics)
            if not values["finite"].all():
                where, kept = step + 1 + int(np.argmin(values["finite"])), store.latest_step()
                store.close()
                if snapshots:
                    snapshots.close()
                advice = f"The checkpoint of step {kept} in {store.folder} is kept; try" if kept else "Try"
                raise training.NonFiniteError(
                    f"loss or weights are not finite at step {where} (loss {values['loss'][where - step - 1]}, "
                    f"train.learning_rate={config.train.learning_rate}). {advice} a lower learning rate in another workdir"
                )
            if step == begun_at:
                say(f"first step done after {time.monotonic() - started:.1f} s")
                logged_at, logged_step = time.monotonic(), step + count
            step += count
            bar.advance(count, float(values["loss"][-1]))
            if log and (step // config.train.log_every > (step - count) // config.train.log_every or step == steps):
                now = time.monotonic()
                seen = (step - logged_step) * config.train.batch_size
                log.write(
                    {
                        "step": step,
                        "epoch": round(step * config.train.batch_size / len(images), 4),
                        **{key: float(value[-1]) for key, value in values.items() if key != "finite"},
                        "learning_rate": float(np.asarray(learning_rate(step - 1))),
                        "images_per_second": round(seen / max(now - logged_at, 1e-9), 1),
                    }
                )
                logged_at, logged_step = now, step
            if snapshots and step in snapshot_steps:
                snapshots.save(state)
            # Saving is something that all processes do together, whoever's clock or signal asks for it.
            due, stopped = interrupts.agreed(time.monotonic() >= checkpoint_due, stop.caught is not None)
            if step < steps and due:
                store.save(state)
                checkpoint_due = time.monotonic() + 60 * config.train.checkpoint_minutes
    bar.close()
    if snapshots:
        snapshots.close()
    if log:
        log.close()
    if step < steps:
        store.save(state, wait=True)
        store.close()
        why = stop.caught or "another process was stopped"
        say(f"{why}: saved step {step} of {steps} in {workdir}; the same command goes on from there")
        return
    say(f"trained in {time.monotonic() - started:.0f} s (this run)")
    model = training.merge(model, state)
    if not calibration.calibrated(model):
        say("computing batch-norm statistics from the training images, width by width")
        experiment.calibrate(config, model, images, mesh)
        state = dataclasses.replace(state, stats=data.replicate(training.split(model)[2], mesh))
    store.save(state, wait=True)
    store.close()

    # ── every width
    say("sweeping the test images")
    del feed, images
    result = evaluation.sweep(
        model,
        test_images,
        experiment.preparation(config),
        mesh,
        minimum=config.widths.minimum,
        progress=first_process,
    )
    if first_process:
        report.write(result, workdir, extra={"workdir": workdir.name, "split": "test", "step": steps})
        report.plot({name: result}, workdir / "sweep.png")
        print(report.table(result))
        print(f"wrote {workdir}/sweep.json, sweep.csv, sweep.png")
        print(report.summary(result))
    if claimed:
        claimed.close()


def experiments() -> list[str]:
    """The configs that come with the project."""
    return sorted(f"configs/{file.name}" for file in (pathlib.Path(__file__).parent / "configs").glob("*.py"))


def existing_config(arguments: list[str]) -> tuple[pathlib.Path, str]:
    """The config file that the command line asks for, and the method after its colon, or nothing."""
    given = [a.split("=", 1)[1] for a in arguments if a.startswith(("--config=", "-config="))]
    given += [b for a, b in itertools.pairwise(arguments) if a in ("--config", "-config")]
    path, _, method = (given[-1] if given else "").partition(":")
    filename = pathlib.Path(path)
    if not filename.is_file():
        raise configs.ConfigError(f"--config must be a file, got {filename}; there are {', '.join(experiments())}")
    return filename, method


def parse_flags(arguments: list[str]) -> list[str]:
    """Flags, with a clear error for a method or a config field that is not there."""
    if any(argument.lstrip("-").split("=")[0] == "config" for argument in arguments):
        filename, method = existing_config(arguments)
        if method and filename.name in map(os.path.basename, experiments()):
            methods.check(method)
    try:
        return app.parse_flags_with_usage(arguments)
    except (AttributeError, KeyError) as error:
        field = str(error).strip("\"'")
        given = next((a.split("=")[0] for a in arguments if a.startswith("--config.") and field in a), "--config.…")
        raise configs.ConfigError(f"{given}: the config has no field {field!r}") from error


def run() -> None:
    """Known errors are one line, not a traceback."""
    try:
        app.run(main, flags_parser=parse_flags)
    except (
        configs.ConfigError,
        data.DataError,
        files.InUseError,
        checkpoints.CheckpointError,
        training.NonFiniteError,
    ) as error:
        platform.fail(error)


if __name__ == "__main__":
    run()
