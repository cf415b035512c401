"""The paper's tables and figures, from runs on a few hundred real digits."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, data, errors, families, files, open_run
from awn_jax import config as configs
from awn_jax.loop import Outcome
from awn_jax.paper import __main__, measure, moments, output, records, targets
from awn_jax.paper.targets import TARGETS, Setting, Trial
from awn_jax.paper.trials import Trainer, TrialError
from awn_jax.paper.workers import complete_all
from awn_jax.training import checkpoints
from awn_jax.training.progress import MetricsLog

DIGITS = Setting("lenet", "digits")
METHODS = ("us_net", "awn", "awn_fixed")


def trial(method: str, seed: int = 0, setting: Setting = DIGITS) -> Trial:
    return Trial(setting, method, seed)


# ── from runs


@pytest.fixture(scope="module")
def flags(tmp_path_factory, repository, compiled):
    """What makes a run some seconds long."""
    arrays = {}
    for split, count in (("train", 300), ("test", 100)):
        images = data.load("digits", split).take(count)
        # Their middle: the smallest images that the network takes.
        arrays |= {f"x_{split}": images.images[:, 6:22, 6:22], f"y_{split}": images.labels}
    path = tmp_path_factory.mktemp("digits") / "few.npz"
    np.savez(path, **arrays)
    changes = {"data.name": f"npz:{path}", "model.channels": 5, "train.epochs": 2, "widths.passes": 2}
    changes |= {"widths.calibration": "running", "train.log_every": 1, "train.snapshots": 2}
    return ["--configs", str(repository / "configs"), *(f"--config.{name}={value}" for name, value in changes.items())]


def command(folder: pathlib.Path, flags: list[str], *more: str) -> str:
    """What the command prints that makes all digits' tables and figures in a folder."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        __main__.main(
            ["all", "--datasets", "digits", "--runs", f"{folder}/runs", "--out", f"{folder}/out", *flags, *more]
        )
    return said.getvalue()


@pytest.fixture(scope="module")
def results(tmp_path_factory, flags):
    """The folder that the command has filled, and what it printed."""
    folder = tmp_path_factory.mktemp("paper")
    page = folder / "page.md"
    page.write_text("".join(f"<!-- {t}_digits -->\nold\n<!-- end {t}_digits -->\ntext\n" for t in output.TABLES))
    return folder, command(folder, flags, "--methods", *METHODS, "--update", str(page))


def trainer_in(folder: pathlib.Path, flags: list[str], **changes: str) -> Trainer:
    parsed, given = __main__.parse_arguments(["all", *flags])
    return Trainer(parsed.configs, folder / "runs", folder / "out" / "records", {**given, **changes})


def test_every_target_is_written(results):
    folder, said = results
    text = (folder / "page.md").read_text()
    # No run of theirs is among those methods.
    empty = {"fig6", "wide_range"}
    for target in TARGETS.keys() - empty:
        if target in output.TABLES:
            table = (folder / f"out/{target}_digits.md").read_text()
            assert len({row.count("|") for row in table.splitlines()}) == 1
            assert f"<!-- {target}_digits -->\n{table}<!-- end {target}_digits -->\ntext\n" in text
        if target in (*output.PICTURES, "fig2"):
            assert (folder / f"out/{target}_digits.png").stat().st_size > 10_000
    assert text.count("old") == len(empty)
    assert "3 runs, 3 of them missing" in said
    assert "fig6_digits: no record" in said


def test_records_hold_what_a_reader_needs(results, flags):
    folder, _ = results
    found = records.load_all(folder / "out/records")
    assert found.keys() == {trial(method) for method in METHODS}
    us_net = found[trial("us_net")]
    assert us_net.curves.keys() == {"test", "train", "test 4", "test 10", "test 20"}
    assert us_net.changes["train.epochs"] == "2"
    # It does not change the result.
    assert "train.log_every" not in us_net.changes
    assert us_net.seconds > 0
    assert "cores" in us_net.hardware
    assert {"jax", "flax"} <= us_net.versions.keys()
    run = open_run(folder / "runs/digits-us_net-0")
    assert run.finished == us_net.steps == us_net.checkpoint == 19
    assert us_net.fingerprint == run.facts.fingerprint
    again, changes = configs.take_changes(us_net.command.split())
    assert configs.read(again[-1].removeprefix("--config="), changes) == run.config


def test_a_view_has_the_statistics_of_its_widths_alone_and_the_run_keeps_all(results):
    curves = records.load_all(results[0] / "out/records")[trial("us_net")].curves
    # Of five channels, four evenly spaced widths leave out the network of three.
    losses, fewer = ([row.metrics["loss"] for row in curves[view].rows] for view in ("test", "test 4"))
    same = [a == b for a, b in zip(losses, fewer, strict=True)]
    assert same == [True, True, False, True, True]
    assert curves["test 10"] == curves["test"]


def test_what_is_there_is_not_run_again(results, flags):
    folder, _ = results
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}
    assert "2 runs, 0 of them missing" in command(
        folder, flags, "--methods", "us_net", "awn", "--config.train.log_every=7"
    )
    message = (
        r"the record of digits-us_net-0 is of a run with data.name=npz:.*, this command has .*train.batch_size=60: give"
    )
    with pytest.raises(records.RecordError, match=message):
        command(folder, flags, "--methods", "us_net", "--config.train.batch_size=60")
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}


def test_a_run_that_was_stopped_is_not_recorded_and_goes_on_to_the_same_end(results, flags, tmp_path, monkeypatch):
    trainer = trainer_in(tmp_path, flags)
    trainer.records.mkdir(parents=True)
    write = MetricsLog.write

    def write_and_stop(self, metrics):
        write(self, metrics)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(MetricsLog, "write", write_and_stop)
        with pytest.raises(TrialError, match="digits-awn-0 was stopped by SIGINT at step 1; the same command goes on"):
            trainer.complete(trial("awn"))
    assert not list(trainer.records.iterdir())
    # Somebody sweeps it meanwhile.
    sweep = tmp_path / "runs/digits-awn-0/sweep.json"
    shutil.copy(results[0] / "runs/digits-us_net-0/sweep.json", sweep)
    trainer.complete(trial("awn"))
    resumed, straight = (records.load(f / "out/records/digits-awn-0.json") for f in (tmp_path, results[0]))
    assert resumed.curves == straight.curves
    assert json.loads(sweep.read_text())["auc"] == straight.curves["test"].auc


def test_a_network_of_another_step_than_the_last_is_not_measured(results):
    run = open_run(results[0] / "runs/digits-awn-0")
    with pytest.raises(
        records.RecordError, match="must be a finished run, and is at step 3: train it to its end first"
    ):
        measure.measure(Outcome(run, run.network(), 3, "", run.images("test")), trial("awn"), "", {})


def test_histories_of_batch_statistics_come_from_snapshots(results, tmp_path):
    folder, _ = results
    found = moments.load(folder / "out/fig2_digits.json")["awn_fixed"]
    assert found.steps == [9, 19]
    # Triangular layers: the batch's statistics are the same at every width, and the running ones follow them.
    narrow, wide = (found.series[width] for width in (0.25, 1.0))
    np.testing.assert_allclose(narrow["batch_mean"], wide["batch_mean"], rtol=1e-5)
    assert np.ptp(narrow["batch_mean"]) > 0.01
    apart = np.abs(np.subtract(narrow["running_var"], narrow["batch_var"]))
    assert apart[-1] < apart[0]
    run = shutil.copytree(folder / "runs/digits-awn-0", tmp_path / "run")
    shutil.rmtree(run / "snapshots")
    with pytest.raises(checkpoints.CheckpointError, match="snapshots is not there"):
        moments.history(run)
    (run / "snapshots").mkdir()
    with pytest.raises(checkpoints.CheckpointError, match="holds no snapshot"):
        moments.history(run)


def test_batch_statistics_differ_between_widths_of_ordinary_layers(digits):
    x = jnp.asarray(digits.images[:20, 6:22, 6:22], jnp.float32) / 255
    family = families.make("s_net", fixed=(0.25, 1))
    model = LeNet3C1L((16, 16, 1), 10, channels=5, family=family, rngs=nnx.Rngs(0))
    narrow, wide = moments.make_moments(model, (0.25, 1.0))(nnx.state(model), x)
    assert abs(narrow["batch_mean"] - wide["batch_mean"]) > 1e-3


# ── several runs


def test_no_run_begins_after_one_has_failed(tmp_path):
    begun = []

    def complete(one: Trial) -> None:
        begun.append(one.seed)
        if one.seed == 1:
            raise TrialError("digits-awn-1 failed")

    with pytest.raises(TrialError, match="digits-awn-1"):
        complete_all([trial("awn", seed) for seed in range(3)], complete, tmp_path)
    assert begun == [0, 1]


def test_processes_have_shares_of_the_machine_and_none_begins_after_one_has_failed(
    results, flags, tmp_path, monkeypatch
):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.values["jax_compilation_cache_dir"])
    trainer = trainer_in(tmp_path, flags)
    trainer.records.mkdir(parents=True)
    bad = trainer.workdir(trial("awn", 1)) / "config.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("damaged")
    wanted = [trial("awn", 0), trial("awn", 1), trial("awn", 2)]
    with pytest.raises(TrialError, match=r"^digits-awn-1 failed, see .*log.txt: error: .*config.json is not JSON"):
        complete_all(wanted, trainer.complete, trainer.workdirs, jobs=2)
    assert records.load_all(trainer.records).keys() == {wanted[0]}
    assert not trainer.workdir(wanted[2]).exists()
    assert "19 of 19 steps" in (trainer.workdir(wanted[0]) / "log.txt").read_text()
    where = files.read_json(trainer.workdir(wanted[0]) / "environment.json")["hardware"]
    cores = len(os.sched_getaffinity(0))
    assert cores == 1 or f", {-(-cores // 2)} of {os.cpu_count()} cores" in where


def test_a_signal_lets_processes_save_and_end(results, flags, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.values["jax_compilation_cache_dir"])
    # The same programs as before, for longer.
    trainer = trainer_in(tmp_path, flags, **{"train.epochs": "1000"})
    log = trainer.workdir(trial("awn")) / "metrics.jsonl"

    def interrupt() -> None:
        while not (log.exists() and log.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt, daemon=True)
    watcher.start()
    with pytest.raises(TrialError, match="stopped by SIGINT; the same command goes on"):
        complete_all([trial("awn")], trainer.complete, trainer.workdirs, jobs=2)
    run = open_run(log.parent)
    assert run.finished is None
    assert run.store().latest_step() > 0
    assert not trainer.records.exists()


def test_a_pair_without_a_config_is_left_out_where_others_serve(repository):
    def pairs(models, datasets):
        return [tuple(pair) for pair in targets.settings("table2", models, datasets, repository / "configs")]

    here = [("lenet", "fmnist"), ("lenet", "cifar10"), ("mobilenet_v2", "cifar10")]
    assert pairs(["lenet", "mobilenet_v2"], ["fmnist", "cifar10"]) == here
    # Nothing else would be done for what is asked for, so it is kept, and its file missed later.
    assert pairs(["mobilenet_v2"], ["fmnist", "cifar10"]) == [("mobilenet_v2", "fmnist"), ("mobilenet_v2", "cifar10")]


# ── mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table7"], "invalid choice: 'table7'"),
        (["table1", "--confog.train.epochs=1"], "unrecognized arguments: --confog.train.epochs=1"),
        (["table1", "--config.train.epochs"], "--config.train.epochs must have a value"),
        (["table1", "--config.train.epoch=3"], "the config has no field 'epoch'"),
        (
            ["table1", "--datasets", "imagenet"],
            "configs/lenet_imagenet.py is not there: --models and --datasets choose",
        ),
        (["table1", "--models", "lenot"], "configs/lenot_mnist.py is not there"),
        (["table1", "--configs", "nowhere"], "nowhere/lenet_mnist.py is not there"),
        (["table1", "--no-train"], "out/records holds no record of these runs; without --no-train they are trained"),
        (
            ["table1", "--methods", "awn"],
            "--methods must name methods of table1, which are shared_bn, s_net, awn_fixed; got awn",
        ),
        (
            ["table1", "--update", "page.md"],
            "--update must name a file with the lines <!-- table1_mnist --> and <!-- end table1",
        ),
        (["table1", "--out", "file"], "--out must be a folder or not there yet, got file"),
        (["table1", "--runs", "file"], "--runs must be a folder or not there yet, got file"),
    ],
)
def test_mistakes_are_one_clear_error_before_any_work(capsys, monkeypatch, tmp_path, repository, arguments, message):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("configs").symlink_to(repository / "configs")
    pathlib.Path("file").touch()
    monkeypatch.setattr(__main__, "complete_all", lambda *_, **__: pytest.fail("a run has begun"))
    if "--out" not in arguments:
        arguments = [*arguments, "--out", "out"]
    with pytest.raises((SystemExit, errors.UserError)) as raised:
        __main__.main(arguments)
    assert message in capsys.readouterr().err + str(raised.value)
