"""The paper's tables and figures: from runs on a few hundred real digits, and from records whose numbers are known."""

import contextlib
import dataclasses
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
from awn_jax.evaluation import Row, Sweep
from awn_jax.loop import Outcome
from awn_jax.paper import __main__, cells, comparisons, measure, moments, output, published, records, tables, targets
from awn_jax.paper.curves import Curves, gap, standard_error
from awn_jax.paper.records import Record
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


# ── from records whose numbers are known


def curve(*values: float, begin: float = 0.25, metric: str = "top1") -> Sweep:
    """A straight curve's sweep: so many sub-networks at evenly spaced widths."""
    widths = np.linspace(begin, 1, len(values)).tolist()
    rows = tuple(Row(w, int(1000 * w), int(10_000 * w), {metric: v}) for w, v in zip(widths, values, strict=True))
    return Sweep(
        rows, tuple((np.add(widths[1:], widths[:-1]) / 2).tolist()), begin, metric, float(np.mean(values)), 0.5
    )


def record(method: str, seed: int, test: Sweep, setting: Setting = DIGITS, **more) -> Record:
    facts = {"seconds": 60.0, "hardware": "a machine", "versions": {}, "command": "", "changes": {}} | more
    curves = {"test": test, "train": test}
    return Record(setting.dataset, method, seed, 6.0, 10, curves=curves, model=setting.model, **facts)


def known(*found: Record) -> dict[Trial, Record]:
    return {one.trial: one for one in found}


def row(table: str, name: str) -> dict[str, str]:
    """The cells of a Markdown table's row that begins with a name, by heading."""
    header, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    (line,) = (line for line in lines if line[0] == name)
    return dict(zip(header, line, strict=True))


def test_rows_show_mean_deviation_and_seeds(tmp_path):
    found = known(
        *(record("awn", seed, curve(*values)) for seed, values in ((2, (0.5, 0.5, 0.6, 0.8)), (0, (0.4,) * 4)))
    )
    cells_of_awn = row(tables.table2(found, DIGITS), "AWN, all widths")
    assert cells_of_awn["AUC, top-1 %"] == "50.00 ± 14.14"
    assert cells_of_awn["¼"] == "45.00 ± 7.07"
    assert cells_of_awn["1"] == "60.00 ± 28.28"
    assert cells_of_awn["worst dip"] == "0.00"
    assert cells_of_awn["runs"] == "6 epochs; seed 0, 2; 1 min; a machine"
    assert cells_of_awn["parameters"] == "1,000"


def test_a_row_shows_its_tasks_own_metric_and_the_widths_that_there_are():
    found = known(
        record("awn_fixed", 0, curve(0.5, 0.5, 0.75, begin=0.35, metric="own"), Setting("mobilenet_v2", "cifar10"))
    )
    shown = row(tables.table2(found, Setting("mobilenet_v2", "cifar10")), "AWN, 4 widths")
    assert list(shown)[1:8] == ["AUC, own", "paper", "mean of 10", "0.35", "½", "¾", "1"]
    assert (shown["AUC, own"], shown["paper"], shown["1"]) == ("0.5833", "90.91", "0.7500")
    assert shown["runs"].startswith("6 of 700 epochs")


def test_worst_dip_is_the_most_that_a_width_loses_to_a_narrower_one():
    assert tables.worst_dip(curve(0.5, 0.75, 0.5, 0.625, 0.875, 0.75)) == 25.0
    assert tables.worst_dip(curve(0.5, 0.75, 0.875)) == 0.0


def test_pictures_are_drawn_of_records_alone(tmp_path):
    methods = {method for target in output.PICTURES for method in TARGETS[target].methods}
    found = known(*(record(m, s, curve(0.5, 0.6 + s / 10, 0.7)) for m in methods for s in (0, 1)))
    for target, draw in output.PICTURES.items():
        draw(found, DIGITS, tmp_path / f"{target}.png")
        assert (tmp_path / f"{target}.png").stat().st_size > 10_000


def test_a_gap_is_the_difference_where_both_curves_exist():
    ours, theirs = (
        Curves(np.array(x, float), np.array([y], float)) for x, y in (([0, 2, 4], [1, 3, 3]), ([1, 3, 5], [1, 1, 5]))
    )
    # Differences at 1, 2, 3 and 4: 1, 2, 2 and 0.
    assert gap(ours, theirs)[:5] == pytest.approx((0.0, (1.5 + 2 + 1) / 3, 2.0, 1.0, 4.0))
    with pytest.raises(ValueError, match=r"curves must overlap, got 0.0 to 4.0 and 6.0 to 8.0"):
        gap(ours, Curves(np.array([6.0, 8.0]), np.array([[0.0, 0.0]])))


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([[4, 4], [6, 6]], "above everywhere"),
        ([[4, 2], [8, 2]], "above"),
        ([[4, 4], [0, 0]], "level"),
        ([[1, 0], [1, 0]], "below"),
        ([[0, 0], [0, 0]], "below everywhere"),
    ],
)
def test_above_is_said_only_where_the_difference_exceeds_its_standard_error(ours, verdict):
    places = np.array([0.0, 1.0])
    found = gap(Curves(places, np.array(ours, float)), Curves(places, np.array([[1, 1], [1, 2]], float)))
    assert found.verdict == verdict


def test_standard_errors_are_welchs():
    ours, theirs = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])
    # Variances 1 and 2 of three and two values.
    assert standard_error(ours, theirs) == pytest.approx(np.sqrt(1 / 3 + 2 / 2))
    assert standard_error(ours, theirs[:1]) is None


def test_gaps_give_standard_errors_where_both_have_several_seeds():
    ours = [record("awn", seed, curve(*([0.6 + seed / 50] * 3))) for seed in (0, 1)]
    theirs = [record("us_net", seed, curve(0.5, 0.5, 0.5)) for seed in (0, 1)]
    one, several = (comparisons.gaps(known(*ours, *rivals), DIGITS) for rivals in (theirs[:1], theirs))
    assert row(one, "AWN, all widths")["equal α"] == "+11.00 (+11.00 to +11.00)"
    assert row(several, "AWN, all widths")["equal α"] == "+11.00 ± 1.00, above everywhere (+11.00 to +11.00)"
    assert row(several, "AWN, all widths")["seeds"] == "0, 1; 0, 1"


def test_wide_range_says_what_the_usual_widths_lose():
    usual = [record("awn", seed, curve(0.8, 0.8, 0.8, 0.8)) for seed in (0, 1)]
    # Widths .05, .2, .35, …: at ¼ the network of .2, and 0.6 + 0.15 · ⅓ on the straight line.
    widths = np.linspace(0.05, 1, 20)
    wide = [record("awn_wide", s, curve(*(0.6 + 0.1 * (widths > 0.2) + s / 50), begin=0.05)) for s in (0, 1)]
    table = comparisons.wide_range(known(*usual, *wide, record("us_net", 0, curve(0.5, 0.5))), DIGITS)
    assert "US-Net" not in table
    lost = row(table, "AWN, all widths, wide range")
    assert (lost["trained for"], lost["0.05"], lost["¼"]) == ("[0.05, 1]", "61.00 ± 1.41", "71.00 ± 1.41")
    assert (lost["¼ loses"], lost["AUC loses"]) == ("+9.00 ± 1.00", "+9.00 ± 1.00")
    assert row(table, "AWN, all widths")["0.05"] == ""


def test_records_that_do_not_belong_together_are_refused(tmp_path):
    one = record("awn", 0, curve(0.5, 0.5), fingerprint="ab")
    records.save(one, tmp_path)
    assert records.load_all(tmp_path) == {one.trial: one}
    for other, message in (
        (
            dataclasses.replace(one, seed=1, changes={"train.epochs": "3"}),
            "digits-awn-0 and digits-awn-1 .*not share a row",
        ),
        (dataclasses.replace(one, method="us_net", fingerprint="cd"), "other training images"),
    ):
        records.save(other, tmp_path)
        with pytest.raises(records.RecordError, match=message):
            records.load_all(tmp_path)
        (tmp_path / f"{other.trial.name}.json").unlink()
    shutil.copy(tmp_path / "digits-awn-0.json", tmp_path / "copy.json")
    with pytest.raises(records.RecordError, match="second record of digits-awn-0"):
        records.load_all(tmp_path)
    (tmp_path / "copy.json").write_text('{"curves": {"test": {"rows": [{"width": NaN}]}}}')
    with pytest.raises(records.RecordError, match=r"copy.json is no record of a run \(.*NaN is no number of JSON"):
        records.load_all(tmp_path)


@pytest.mark.parametrize("folder", ["docs/results", "docs/results/six_epochs"])
def test_committed_tables_are_those_of_the_committed_records(repository, folder):
    found = records.load_all(repository / folder / "records")
    page, checked = (repository / "docs/results.md").read_text(), 0
    for setting in {one.setting for one in found}:
        for target, make in output.TABLES.items():
            path = repository / folder / f"{target}_{setting.name}.md"
            if path.exists():
                assert make(found, setting) + "\n" == path.read_text()
                assert path.read_text() in page
                checked += 1
    assert checked >= 3


# ── names


def test_every_method_of_a_target_has_a_name_and_its_published_figures_are_found():
    for target in TARGETS.values():
        for method in target.methods:
            assert method in cells.NAMES or method in targets.SINGLES
    keys = {key.split()[0] for found in published.TABLE_2.values() for key in found}
    assert keys <= set(targets.CONTENDERS)
    assert all(set(found) == set(TARGETS["table1"].methods) for found in published.TABLE_1.values())
    assert all(set(found) == set(TARGETS["fig6"].methods) for found in published.FIGURE_6.values())


def test_only_other_networks_than_the_papers_are_named_in_files():
    assert trial("awn", 3).name == "digits-awn-3"
    assert Trial(Setting("mobilenet_v2", "cifar10"), "us_net", 0).name == "mobilenet_v2-cifar10-us_net-0".replace(
        "-", "_", 1
    )
