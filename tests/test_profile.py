"""Costs of every width, budgets, and programs that are there before they are needed."""

import argparse
import csv
import dataclasses
import itertools
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

import eval_sweep
from awn_jax import Axis, LeNet3C1L, costs, files, profile
from awn_jax.evaluation import Row, Sweep
from awn_jax.profile import CompiledWidths, Latency, Profile, ProfiledWidth, ProfileError
from awn_jax.profile import __main__ as command
from awn_jax.profile.measure import in_turns
from awn_jax.run import Run, RunError, open_run

SIZE = (16, 16, 1)


def row(width, quality, ms, macs, memory):
    latency = {1: Latency(ms / 2, ms, 9), 8: Latency(ms, 4 * ms, 9)}
    return ProfiledWidth(width, 1000, macs, {"overlap": quality}, {1: memory, 8: 8 * memory}, latency)


@pytest.fixture
def measured():
    """A profile of a task whose metric is called overlap."""
    rows = (
        row(0.25, 0.90, 1.0, 100, 1000),
        row(0.5, 0.97, 2.0, 300, 2000),
        row(0.75, 0.95, 3.0, 600, 3000),
        row(1.0, 0.97, 4.0, 1000, 4000),
    )
    return Profile("a machine", "0.10.2", 7, "overlap", (1, 8), {1: 0.0, 8: 0.0}, rows)


@pytest.mark.parametrize(
    ("budget", "width"),
    [
        # The 95th percentile counts, not the median.
        ({"ms": 1.9}, 0.25),
        ({"ms": 2.0}, 0.5),
        # 0.75 fits too, but is worse; 1 is as good as 0.5 and dearer.
        ({"ms": 3.5}, 0.5),
        ({"macs": 1e9}, 0.5),
        ({"macs": 299}, 0.25),
        # Four bytes for each of 1,000 parameters, and the activations.
        ({"bytes": 5999}, 0.25),
        ({"bytes": 6000}, 0.5),
        ({"bytes": 6000, "ms": 1.0}, 0.25),
        ({"ms": 4.0, "batch_size": 8}, 0.25),
        ({"ms": 8.0, "batch_size": 8}, 0.5),
    ],
)
def test_best_width_is_the_best_within_the_budget(measured, budget, width):
    assert measured.best_width(**budget) == width


def test_a_budget_that_nothing_meets_says_what_is_needed(measured):
    with pytest.raises(ProfileError, match=r"no width meets the budget ms=0.5 at batch size 1; .* ms=1$"):
        measured.best_width(ms=0.5)
    # Each is met by some width, but not both by one.
    steep = dataclasses.replace(measured, rows=(row(0.5, 0.9, 1.0, 300, 1), row(1.0, 0.9, 2.0, 100, 1)))
    with pytest.raises(ProfileError, match="no width meets the budget ms=1, macs=100"):
        steep.best_width(ms=1.0, macs=100)


def test_questions_that_make_no_sense(measured):
    with pytest.raises(ValueError, match="a budget must be given"):
        measured.best_width()
    with pytest.raises(ProfileError, match=r"batch_size must be one of the measured \(1, 8\), got 3"):
        measured.best_width(ms=1.0, batch_size=3)


# ── as a file of a run


def newest_step(workdir):
    store = open_run(workdir).store()
    try:
        return store.latest_step()
    finally:
        store.close()


@pytest.fixture
def workdir(training, tmp_path):
    return pathlib.Path(shutil.copytree(training[0], tmp_path / "run"))


def test_a_profile_is_read_as_it_was_written_while_it_is_current(measured, workdir, tmp_path):
    current = dataclasses.replace(measured, step=newest_step(workdir))
    for folder in (None, files.folder(tmp_path / "elsewhere", "")):
        profile.save(current, folder or workdir)
        assert profile.load_current(open_run(workdir), folder) == current
    assert profile.best_width(workdir, ms=1.0) == 0.25
    profile.save(measured, workdir)
    with pytest.raises(RunError, match=r"profile.json is of step 7, the newest checkpoint of step \d+: make it again"):
        profile.best_width(workdir, ms=1.0)
    with (workdir / "profile.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["overlap"]) for line in lines] == [0.90, 0.97, 0.95, 0.97]


def damaged(path, content):
    """Every way to take something out of JSON, or to put something else in its place."""
    if isinstance(content, dict | list):
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            for value in damaged((*path, key), content[key]):
                changed = content.copy()
                changed[key] = value
                yield changed
        if isinstance(content, dict):
            yield from ({k: v for k, v in content.items() if k != key} for key in content)
        yield from ([], 5)
    elif not isinstance(content, str):
        yield from ("a", None)


def test_whatever_is_not_a_profile_is_refused(measured, tmp_path):
    path = tmp_path / "profile.json"
    with pytest.raises(ProfileError, match=r"is not there: run python -m awn_jax\.profile"):
        profile.load(tmp_path)
    one = dataclasses.replace(measured, rows=measured.rows[:1])
    whole = json.loads(json.dumps(dataclasses.asdict(one)))
    texts = [json.dumps(content).encode() for content in damaged((), whole)]
    assert len(texts) > 50
    for text in (*texts, b"{", b"\xff", b"[" * 5000):
        path.write_bytes(text)
        with pytest.raises(ProfileError, match="measure it again"):
            profile.load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ProfileError, match=r"profile.json cannot be read: .*: measure it again"):
        profile.load(tmp_path)


# ── measuring


@pytest.mark.parametrize(("seconds", "rounds"), [(100.0, 7), (1.0, 5)])
def test_calls_take_turns_and_are_timed_after_another_and_after_themselves(seconds, rounds):
    now, called = 0.0, []

    def call(name, cost):
        nonlocal now
        # One second more after another call; so a round takes 16.
        now += cost + (called[-1:] != [name])
        called.append(name)

    first, again = in_turns([lambda: call("a", 2), lambda: call("b", 5)], seconds, clock=lambda: now)
    assert called == ["a", "b", *["a", "a", "b", "b"] * rounds]
    np.testing.assert_array_equal(again, [[2, 5]] * rounds)
    np.testing.assert_array_equal(first, [[3, 6]] * rounds)


def test_compiled_widths_answer_like_the_model_and_switching_compiles_nothing():
    model = LeNet3C1L(SIZE, 10, channels=8, rngs=nnx.Rngs(0))
    model.eval()
    compiled = CompiledWidths(model, (0.5, 1.0), SIZE, (1, 3))
    images = jax.random.normal(jax.random.key(0), (3, *SIZE))
    expected = jax.jit(lambda x: [model(x, width) for width in (0.5, 1.0)])(images)
    expected = [np.asarray(logits) for logits in expected]
    one = images[:1]
    with jax.no_tracing():
        for _ in range(2):
            for width, wanted in zip((0.5, 1.0), expected, strict=True):
                np.testing.assert_allclose(compiled(images, width), wanted, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(compiled(one, width), wanted[:1], rtol=1e-5, atol=1e-6)
    # Scratch memory holds at least the widest activation, and grows with width and batch.
    assert compiled.activation_bytes(1.0, 1) >= 4 * 14 * 14 * 8
    assert compiled.activation_bytes(0.5, 3) < compiled.activation_bytes(1.0, 3)
    with pytest.raises(ValueError, match=r"must be of a program made before, .*; got 0.25, 3"):
        compiled(images, 0.25)
    with pytest.raises(ValueError, match=r"batch_sizes must be at least 1, got \(0,\)"):
        CompiledWidths(model, (0.5,), SIZE, (0,))


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_command_measures_saves_and_answers(workdir, tmp_path, capsys):
    before, out = stamps(workdir), tmp_path / "out"
    flags = [f"--workdir={workdir}", f"--out={out}"]
    command.main([*flags, "--widths", "0.25", "1", "--batch-sizes", "1", "4", "--seconds", "0.2"])
    assert "switching the width at batch size 4" in capsys.readouterr().out
    # A run in a folder that cannot be written to is profiled as well.
    assert stamps(workdir) == before
    measured = profile.load_current(open_run(workdir), out)
    assert [row.width for row in measured.rows] == [0.25, 1.0]
    narrow, wide = measured.rows
    run = open_run(workdir)
    params, macs = costs(run.network(), run.facts.image_size, (0.25, 1))
    assert [(row.params, row.macs) for row in measured.rows] == list(zip(params, macs, strict=True))
    assert narrow.activation_bytes[4] < wide.activation_bytes[4]
    for latency in (*narrow.latency.values(), *wide.latency.values()):
        assert 0 < latency.median_ms <= latency.p95_ms
        assert latency.runs >= 5
    assert wide.metrics["top1"] == json.loads((workdir / "sweep.json").read_text())["rows"][-1]["top1"]
    assert (out / "profile.png").read_bytes().startswith(b"\x89PNG")

    command.main([*flags, f"--budget-macs={narrow.macs}"])
    assert capsys.readouterr().out.endswith("best width 0.25\n")
    with pytest.raises(ProfileError, match="no width meets the budget macs=1 "):
        command.main([*flags, "--budget-macs=1"])

    # The page takes its times from there, or measures what is missing.
    shutil.copy(out / "profile.json", workdir)
    swept = [Row(row.width, row.params, row.macs, row.metrics) for row in measured.rows]
    model, _ = run.restore()
    sweep = Sweep(tuple(swept), (0.5,), 0.25, "top1", 1.0, 1.0)
    times, where = profile.latencies(run, model, sweep)
    assert times == {row.width: row.latency[1].median_ms for row in measured.rows}
    assert where == f"{measured.device}, batch size 1"
    more = dataclasses.replace(sweep, rows=(*swept, dataclasses.replace(swept[1], width=0.9)), edges=(0.5, 0.95))
    times, _ = profile.latencies(run, model, more, seconds=0.1)
    assert set(times) == {0.25, 0.9, 1.0}


def test_places_are_tried_before_the_work(workdir, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(Run, "restore", lambda *_, **__: pytest.fail("began to work"))
    with pytest.raises(files.NotWritableError, match="--out must be a folder or not there yet"):
        command.main([f"--workdir={workdir}", f"--out={tmp_path / 'file'}"])
    monkeypatch.setattr("sys.argv", ["", f"--workdir={workdir}", f"--out={tmp_path / 'file'}", "--widths=1", "--html"])
    with pytest.raises(files.NotWritableError, match="--out must be a folder or not there yet"):
        eval_sweep.main()


class _Wide(nnx.Module):
    def __init__(self, channels):
        self.axis = Axis.of(channels)


def test_of_very_many_sub_networks_a_bounded_selection_is_profiled(capsys):
    few = command.chosen_widths(_Wide(45), 0.25)
    assert len(few) == 35
    assert capsys.readouterr().out == ""
    some = command.chosen_widths(_Wide(3000), 0.25)
    assert len(some) == profile.MOST_WIDTHS
    assert (some[0], some[-1]) == (0.25, 1.0)
    gaps = [b - a for a, b in itertools.pairwise(some)]
    assert max(gaps) < 1.1 * min(gaps)
    assert "profiling 64 of 2,251 sub-networks, evenly spaced: --widths names others" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch-size=4"], "--batch-size is that of a budget"),
        (["--budget-ms=0"], "must be above 0 and finite, got 0"),
        (["--batch-sizes", "1", "-3"], "must be above 0 and finite, got -3"),
        (["--widths", "1.5"], "width must be a number in (0, 1], got 1.5"),
    ],
)
def test_mistakes_are_named(capsys, flags, message):
    with pytest.raises((SystemExit, argparse.ArgumentTypeError)):
        command.parse_arguments(["--workdir=x", *flags])
    assert message in capsys.readouterr().err
