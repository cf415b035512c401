"""Every table and figure from runs on a few hundred real digits, through the command that people use."""

import json
import re
import sys
import time

import numpy as np
import pytest

from awn_jax import data
from awn_jax.paper import experiments, moments, published, records, runs, tables
from awn_jax.paper.experiments import TARGETS, Experiment
from awn_jax.paper.gaps import gap
from awn_jax.training import checkpoints

METHODS = ("s_net", "us_net", "awn", "awn_fixed", "awn_full")


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory):
    arrays = {}
    for split, count in (("train", 300), ("test", 100)):
        images = data.load("digits", split).take(count)
        arrays |= {f"x_{split}": images.images, f"y_{split}": images.labels}
    path = tmp_path_factory.mktemp("digits") / "few.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory, run, few_digits):
    """The folder that `python -m awn_jax.paper all` has filled, its output, and the command."""
    folder = tmp_path_factory.mktemp("paper")
    page = folder / "page.md"
    marks = [f"{target}_digits" for target in tables.TABLES]
    page.write_text("".join(f"<!-- {mark} -->\nold\n<!-- end {mark} -->\ntext\n" for mark in marks))
    command = [sys.executable, "-m", "awn_jax.paper", "all", "--datasets", "digits", "--methods", *METHODS]
    command += ["--runs", str(folder / "runs"), "--out", str(folder / "out"), "--update", str(page)]
    command += [f"--config.data.name=npz:{few_digits}", "--config.model.channels=4", "--config.train.epochs=2"]
    command += ["--config.widths.passes=3"]
    done = run(command)
    assert done.returncode == 0, done.stderr
    return folder, done, command


def test_every_target_is_written(results):
    folder, done, _ = results
    for target in TARGETS:
        if target in tables.TABLES:
            rows = (folder / f"out/{target}_digits.md").read_text().splitlines()
            assert len(rows) > 2
            assert rows[0].count("|") == rows[2].count("|")
            assert rows[2] in (folder / "page.md").read_text()
        if target in ("fig2", "fig4", "fig5", "fig6", "macs"):
            assert (folder / f"out/{target}_digits.png").stat().st_size > 10_000
    assert "old" not in (folder / "page.md").read_text()
    assert (folder / "page.md").read_text().count("text\n") == len(tables.TABLES)
    assert "5 runs, 5 of them missing" in done.stdout


def test_records_hold_what_a_reader_needs(results):
    folder, _, _ = results
    found = records.load_all(folder / "out/records")
    assert {run.method for run in found} == set(METHODS)
    us_net = found[Experiment("digits", "us_net", 0)]
    assert set(us_net.curves) == {"test", "train", "test 4", "test 10", "test 20"}
    assert us_net.changes["train.epochs"] == "2"
    assert us_net.seconds > 0
    assert "cores" in us_net.hardware
    assert {"jax", "flax"} <= set(us_net.versions)
    assert "--config=configs/lenet_digits.py:us_net --config.train.seed=0" in us_net.command
    for record in found.values():
        for sweep in record.curves.values():
            assert [row.width for row in sweep.rows] == sorted(row.width for row in sweep.rows)
    content = json.loads((folder / "out/records/digits-awn-0.json").read_text())
    assert {"auc", "rows"} <= set(content["curves"]["test"])


def test_batch_statistics_are_the_same_at_every_width_under_triangular_layers_only(results):
    folder, _, _ = results
    history = json.loads((folder / "out/fig2_digits.json").read_text())
    assert set(history) == {"s_net", "awn_fixed"}
    assert len(history["s_net"]["steps"]) > 5
    apart = {
        method: np.abs(
            np.subtract(*(history[method]["series"][width]["batch_mean"] for width in ("0.25", "1.0")))
        ).max()
        for method in history
    }
    assert apart["awn_fixed"] < 1e-5
    assert apart["s_net"] > 1e-3
    with pytest.raises(checkpoints.CheckpointError, match="has the run written a checkpoint yet"):
        moments.history(folder / "runs/digits-awn-0")
    (folder / "runs/digits-awn-0/snapshots").mkdir()
    with pytest.raises(checkpoints.CheckpointError, match="holds no snapshot"):
        moments.history(folder / "runs/digits-awn-0")


def test_what_is_there_is_not_run_again(results, run):
    folder, _, command = results
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}
    done = run([*command[:4], "--datasets", "digits", "--methods", "awn", *command[command.index("--runs") :]])
    assert done.returncode == 0, done.stderr
    assert "1 runs, 0 of them missing" in done.stdout
    refused = run([*command, "--config.train.batch_size=32"])
    assert "record of digits-s_net-0 is of a run with data.name=npz:" in refused.stderr
    assert "train.epochs=2, train.batch_size=32: give it an --out and --runs of its own" in refused.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_run_begins_after_one_has_failed(tmp_path, monkeypatch, jobs):
    begun, ended = [], []

    def one(run, workdir, changes, title, share=None):
        begun.append(run.seed)
        if run.seed == 1:
            raise runs.RunError("digits-awn-1 failed")
        time.sleep(0.2)

    monkeypatch.setattr(runs, "_one", one)
    experiment = [Experiment("digits", "awn", seed) for seed in range(5)]
    with pytest.raises(runs.RunError, match="digits-awn-1"):
        runs.train(experiment, tmp_path, lambda run: [], jobs=jobs, finish=lambda run: ended.append(run.seed))
    assert begun == [0, 1]
    assert ended == ([0] if jobs == 1 else [])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["table7"], "invalid choice: 'table7'"),
        (["table1", "--datasets", "imagenet"], "--datasets must name configs/lenet_NAME.py, got 'imagenet'"),
        (["table1", "--confog.train.epochs=1"], "unknown argument '--confog.train.epochs=1'"),
        (["table1", "--no-train", "--out", "nowhere"], "nowhere/records holds no record of these runs"),
    ],
)
def test_mistakes_are_one_clear_error(run, flags, message):
    done = run([sys.executable, "-m", "awn_jax.paper", *flags])
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_every_method_of_a_target_has_a_name_and_its_published_figures_are_found():
    for target in TARGETS.values():
        for method in target.methods:
            assert method in tables.NAMES or method in experiments.SINGLES
    keys = {key.split()[0] for row in published.TABLE_2.values() for key in row}
    assert keys <= set(experiments.CONTENDERS)
    assert set(published.TABLE_1) == set(TARGETS["table1"].methods)


def test_a_gap_is_the_difference_where_both_curves_exist():
    ours, theirs = (np.array(values, float) for values in (([0, 2, 4], [1, 3, 3]), ([1, 3, 5], [1, 1, 5])))
    # Differences at 1, 2, 3 and 4: 1, 2, 2 and 0.
    assert gap(tuple(ours), tuple(theirs)) == (0.0, (1.5 + 2 + 1) / 3, 2.0, 1.0, 4.0)
    with pytest.raises(ValueError, match=r"curves must overlap, got 0.0 to 4.0 and 6.0 to 8.0"):
        gap(tuple(ours), (np.array([6.0, 8.0]), np.array([0.0, 0.0])))


def test_worst_dip_is_the_most_that_a_width_loses_to_a_narrower_one(results):
    record = records.load_all(results[0] / "out/records")[Experiment("digits", "awn", 0)]
    top1 = [row.top1 for row in record.curves["test"].rows]
    expected = max(max(top1[: i + 1]) - value for i, value in enumerate(top1))
    assert re.fullmatch(r"\d+\.\d\d", f"{tables.worst_dip(record.curves['test']):.2f}")
    np.testing.assert_allclose(tables.worst_dip(record.curves["test"]), 100 * expected)
