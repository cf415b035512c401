"""Every table and figure from runs on a few hundred real digits, through the command that people use."""

import json
import re
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, TriConv, data
from awn_jax import config as configs
from awn_jax.layers import Conv
from awn_jax.paper import __main__, experiments, moments, published, records, runs, tables
from awn_jax.paper.experiments import TARGETS, Experiment
from awn_jax.paper.gaps import gap
from awn_jax.training import checkpoints

METHODS = ("s_net", "us_net", "awn", "awn_full")


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
    assert "4 runs, 4 of them missing" in done.stdout


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


def test_batch_statistics_are_the_same_at_every_width_under_triangular_layers_only(digits):
    x = jnp.asarray(digits.images[:20], jnp.float32) / 255
    apart = {}
    for conv in (TriConv, Conv):
        model = LeNet3C1L((28, 28, 1), 10, channels=4, conv=conv, rngs=nnx.Rngs(0))
        narrow, wide = (moments._moments(model, x, width, 0.25)["batch_mean"] for width in (0.25, 1.0))
        apart[conv] = abs(narrow - wide)
    assert apart[TriConv] < 1e-6
    assert apart[Conv] > 1e-3


def test_histories_of_batch_statistics_come_from_snapshots(results):
    folder, _, _ = results
    history = json.loads((folder / "out/fig2_digits.json").read_text())
    assert set(history) == {"s_net"}
    assert len(history["s_net"]["steps"]) > 5
    with pytest.raises(checkpoints.CheckpointError, match="has the run written a checkpoint yet"):
        moments.history(folder / "runs/digits-awn-0")
    (folder / "runs/digits-awn-0/snapshots").mkdir()
    with pytest.raises(checkpoints.CheckpointError, match="holds no snapshot"):
        moments.history(folder / "runs/digits-awn-0")


def test_what_is_there_is_not_run_again(results, capsys):
    folder, _, command = results
    arguments = command[command.index("awn_jax.paper") + 1 :]
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.json")}
    __main__.make(*__main__.parse_arguments(arguments))
    assert "4 runs, 0 of them missing" in capsys.readouterr().out
    message = (
        "record of digits-s_net-0 is of a run with data.name=npz:.*train.batch_size=32: give it an --out and --runs of"
    )
    with pytest.raises(configs.ConfigError, match=message):
        __main__.make(*__main__.parse_arguments([*arguments, "--config.train.batch_size=32"]))
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
def test_mistakes_are_one_clear_error(capsys, flags, message):
    with pytest.raises((SystemExit, configs.ConfigError)) as raised:
        __main__.make(*__main__.parse_arguments(flags))
    assert message in capsys.readouterr().err + str(raised.value)


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
