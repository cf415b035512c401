"""Costs of every width, budgets, and programs that are there before they are needed."""

import csv
import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, cost, profile
from awn_jax.profile import CompiledWidths, Latency, Profile, ProfiledWidth, ProfileError
from awn_jax.run import RunError

SIZE = (16, 16, 1)


def row(width, value, ms, macs, memory):
    return ProfiledWidth(
        width, 1000, macs, value, {1: memory, 8: 8 * memory}, {1: Latency(ms / 2, ms, 9), 8: Latency(ms, 4 * ms, 9)}
    )


@pytest.fixture
def table():
    rows = (
        row(0.25, 0.90, 1.0, 100, 1000),
        row(0.5, 0.97, 2.0, 300, 2000),
        row(0.75, 0.95, 3.0, 600, 3000),
        row(1.0, 0.97, 4.0, 1000, 4000),
    )
    return Profile("a machine", "0.10.2", 7, "top1", (1, 8), {1: 0.0, 8: 0.0}, rows)


@pytest.mark.parametrize(
    ("budget", "width"),
    [
        # The 95th percentile counts, not the median.
        ({"ms": 1.9}, 0.25),
        ({"ms": 2.0}, 0.5),
        # 0.75 fits too, but is less accurate; 1 is as accurate as 0.5 and dearer.
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
def test_best_width_is_the_most_accurate_within_the_budget(table, budget, width, tmp_path):
    assert table.best_width(**budget) == width
    profile.save(table, tmp_path)
    assert profile.load(tmp_path) == table


def test_a_budget_that_nothing_meets_says_what_is_needed(table):
    with pytest.raises(ProfileError, match=r"no width meets the budget ms=0.5 at batch size 1; .* ms=1$"):
        table.best_width(ms=0.5)
    # Each is met by some width, but not both by one.
    steep = dataclasses.replace(table, rows=(row(0.5, 0.9, 1.0, 300, 1), row(1.0, 0.9, 2.0, 100, 1)))
    with pytest.raises(ProfileError, match="no width meets the budget ms=1, macs=100"):
        steep.best_width(ms=1.0, macs=100)


def test_questions_that_make_no_sense(table):
    with pytest.raises(ValueError, match="a budget must be given"):
        table.best_width()
    with pytest.raises(ProfileError, match=r"batch_size must be one of the measured \(1, 8\), got 3"):
        table.best_width(ms=1.0, batch_size=3)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": [{}]}'])
def test_missing_or_damaged_profile(tmp_path, content):
    if content is not None:
        (tmp_path / "profile.json").write_text(content)
    with pytest.raises(ProfileError, match="is not there: run python -m" if content is None else "is not a profile"):
        profile.load(tmp_path)


@pytest.fixture(scope="module")
def model():
    model = LeNet3C1L(SIZE, 10, channels=8, rngs=nnx.Rngs(0))
    model.eval()
    return model


def test_programs_answer_like_the_model_and_switching_compiles_nothing(model):
    programs = CompiledWidths(model, (0.5, 1.0), SIZE, (1, 3))
    images = jax.random.normal(jax.random.key(0), (3, *SIZE))
    expected = jax.jit(lambda x: [model(x, width) for width in (0.5, 1.0)])(images)
    expected = [np.asarray(logits) for logits in expected]
    one = images[:1]
    with jax.no_tracing():
        for _ in range(2):
            for width, wanted in zip((0.5, 1.0), expected, strict=True):
                np.testing.assert_allclose(programs(images, width), wanted, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(programs(one, width), wanted[:1], rtol=1e-5, atol=1e-6)
    # Scratch memory holds at least the widest activation, and grows with width and batch.
    assert programs.activation_bytes(1.0, 1) >= 4 * 14 * 14 * 8
    assert programs.activation_bytes(0.5, 3) < programs.activation_bytes(1.0, 3)
    with pytest.raises(ValueError, match=r"must be of a program made before, .*; got 0.25, 3"):
        programs(images, 0.25)


def test_command_measures_saves_and_answers(trained_run, repository):
    def run(*arguments):
        command = [sys.executable, "-m", "awn_jax.profile", f"--workdir={trained_run}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=repository, timeout=200)

    done = run("--widths", "0.25", "1", "--batch-sizes", "1", "4", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert "switching the width at batch size 4" in done.stdout
    measured = profile.load(trained_run)
    assert [row.width for row in measured.rows] == [0.25, 1.0]
    narrow, wide = measured.rows
    channels = json.loads((trained_run / "config.json").read_text())["model"]["channels"]
    whole = LeNet3C1L((28, 28, 1), 10, channels=channels, rngs=nnx.Rngs(0))
    assert (wide.params, wide.macs) == cost(whole, (28, 28, 1), 1)
    assert narrow.activation_bytes[4] < wide.activation_bytes[4]
    for latency in (*narrow.latency.values(), *wide.latency.values()):
        assert 0 < latency.median_ms <= latency.p95_ms
        assert latency.runs >= 5
    assert wide.value == json.loads((trained_run / "sweep.json").read_text())["rows"][-1]["top1"]
    with (trained_run / "profile.csv").open() as file:
        assert [float(line["width"]) for line in csv.DictReader(file)] == [0.25, 1.0]
    assert (trained_run / "profile.png").stat().st_size > 1000

    assert run(f"--budget-macs={narrow.macs}").stdout.endswith("best width 0.25\n")
    refused = run("--budget-macs=1")
    assert refused.returncode
    assert refused.stderr.startswith("error: no width meets the budget macs=1")
    assert profile.best_width(trained_run, macs=narrow.macs) == 0.25
    # A profile of another checkpoint than the newest is of another network.
    profile.save(dataclasses.replace(measured, step=1), trained_run)
    with pytest.raises(RunError, match=r"profile\.json is of step 1, the newest checkpoint of step 90: make it again"):
        profile.best_width(trained_run, macs=narrow.macs)
