"""A predictor keeps to limits of work, confidence and time, with few programs; the command that tries its policies."""

import dataclasses
import json
from typing import ClassVar

import jax
import numpy as np
import pytest
from flax import nnx

from awn_jax import costs, files
from awn_jax import run as runs
from awn_jax.anytime import LADDER, Predictor, policy
from awn_jax.anytime import __main__ as command
from awn_jax.tasks import Classification, Metric


def test_batches_of_any_size_share_few_programs(net):
    model, x, expected = net
    # A structure of its own, so that no other test has compiled its programs.
    model = nnx.clone(model)
    model.names = "of no other model"
    predictor, compiled, draw = Predictor(model), [], np.random.default_rng(0)
    middle = float(np.median(Classification().confidence(expected[0])))

    def count(name, seconds, **_):
        compiled.extend([name] if name.endswith("backend_compile_duration") else [])

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        arrays = []
        for confidence in (None, None, None, middle):
            for size in (40, 1, *draw.integers(2, 40, 8)):
                found = predictor.predict(x[:size], confidence=confidence)
                reached = np.searchsorted(LADDER, found.width)
                np.testing.assert_allclose(found.outputs, expected[reached, np.arange(size)], rtol=1e-4, atol=1e-5)
            arrays.append(len(jax.live_arrays()))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert 8 <= len(compiled) <= 12, compiled
    assert arrays[1] == arrays[2] == arrays[3]


def test_confidence_widens_only_the_images_that_are_not_sure(net):
    model, x, expected = net
    sure = Classification().confidence(expected)
    # Between the least and the most sure at the first width: some images stop there.
    confidence = float(np.median(sure[0]))
    rung = np.where((sure >= confidence).any(0), (sure >= confidence).argmax(0), len(LADDER) - 1)
    assert len(set(rung)) > 1
    found = Predictor(model, LADDER).predict(x, confidence=confidence)
    np.testing.assert_array_equal(found.width, np.take(LADDER, rung))
    np.testing.assert_allclose(found.outputs, expected[rung, np.arange(len(x))], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.macs, costs(model, x.shape[1:], LADDER).macs[rung])


class Negative(Classification):
    """A task of one's own: the lower the first output is, the surer."""

    metrics: ClassVar = {"below": Metric("below zero, %", 100, 1)}

    def confidence(self, outputs):
        return (outputs[..., 0] < 0).astype(float)

    def quality(self, outputs, targets):
        return (outputs[..., 0] < targets).astype(float)


def test_the_task_says_how_sure_and_how_good_an_output_is(net, monkeypatch, tmp_path):
    model, x, expected = net
    task, targets = Negative(), np.linspace(-0.1, 0.1, len(x))
    found = Predictor(model, LADDER, task=task).predict(x, confidence=1.0)
    sure = (expected[..., 0] < 0).any(0)
    assert 0 < sure.sum() < len(x)
    np.testing.assert_array_equal(found.outputs[:, 0] < 0, sure)

    macs = costs(model, x.shape[1:], LADDER).macs
    static = policy.static_curve(expected, targets, LADDER, macs, task)
    assert [point.value for point in static] == [np.mean(at[:, 0] < targets) for at in expected]
    (none, all_of_them) = policy.confidence_curve(expected, targets, macs, task, (0.0, 1.0))
    assert none == dataclasses.replace(static[0], name=0.0)
    assert all_of_them.value == np.mean(found.outputs[:, 0] < targets)
    assert all_of_them.macs == found.macs.mean()

    drawn = []
    monkeypatch.setattr(files, "write_figure", lambda figure, path: drawn.append(figure))
    policy.plot(static, [none, all_of_them], task.metrics[task.metric], tmp_path / "curves.png")
    (axes,) = drawn[0].axes
    assert axes.get_ylabel() == "below zero, %"
    assert set(axes.lines[0].get_ydata()) == {100 * point.value for point in static}


class Ticks:
    """A clock on which every look takes some seconds."""

    def __init__(self):
        self.now, self.cost = 0, 1

    def __call__(self):
        self.now += self.cost
        return float(self.now)


def test_a_deadline_always_has_an_answer_and_stops_before_a_step_that_would_end_late(net):
    model, x, expected = net
    x = x[:8]
    clock = Ticks()
    predictor = Predictor(model, LADDER, clock=clock)

    def reached(deadline_s):
        found = predictor.predict(x, deadline_s=deadline_s)
        rung = LADDER.index(found.width[0])
        np.testing.assert_allclose(found.outputs, expected[rung, :8], rtol=1e-4, atol=1e-5)
        assert set(found.width) == {LADDER[rung]}
        return LADDER[rung]

    # A step takes a second, and so does each look in front of one: its end is expected at 4, 7 and 10.
    assert [reached(seconds) for seconds in (0.0, 3.9, 4.0, 6.9, 7.0, 10.0)] == [0.25, 0.25, 0.5, 0.5, 0.75, 1.0]
    # One slow call, and steps are expected to be slow, until five more have been fast.
    clock.cost = 10
    predictor.predict(x)
    clock.cost = 1
    assert reached(12.0) == 0.25
    for _ in range(5):
        predictor.predict(x)
    assert reached(12.0) == 1.0


def test_a_deadline_gives_every_image_a_first_answer_before_any_gets_a_second(net):
    model, x, _ = net
    predictor = Predictor(model, (0.25, 1.0), batch_sizes=(1, 8), clock=Ticks())
    # 8, 8 and 1 of 17 images: their first steps end at 6, their second ones at 9, 12 and 15.
    np.testing.assert_array_equal(predictor.predict(x[:17], deadline_s=12.0).width, [1.0] * 16 + [0.25])
    assert set(predictor.predict(x[:17], deadline_s=0.0).width) == {0.25}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ladder": ()}, r"ladder must hold ascending widths, got \(\)"),
        ({"ladder": (0.5, 0.25)}, r"ladder must hold ascending widths, got \(0.5, 0.25\)"),
        ({"ladder": (0.5, 1.5)}, r"ladder must be in \(0, 1\], got 1.5"),
        ({"batch_sizes": (8, 1)}, r"batch_sizes must hold ascending numbers of at least 1, got \(8, 1\)"),
        ({"batch_sizes": (0, 8)}, r"batch_sizes must hold ascending numbers of at least 1, got \(0, 8\)"),
    ],
)
def test_arguments_of_a_predictor_are_named(net, arguments, named):
    with pytest.raises(ValueError, match=named):
        Predictor(net[0], **arguments)


@pytest.mark.parametrize(
    "limit", [{"deadline_s": -1.0}, {"deadline_s": float("nan")}, {"confidence": 1.1}, {"confidence": float("nan")}]
)
def test_limits_out_of_range_are_named(net, limit):
    ((name, value),) = limit.items()
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        Predictor(net[0], LADDER).predict(net[1], **limit)


def test_the_command_writes_where_it_is_told(trained_run, tmp_path, capsys):
    out = tmp_path / "early"
    command.main([f"--workdir={trained_run}", "--ladder", "1/2", "1", "--rounds=1", "--batch-size=2", f"--out={out}"])
    written, swept = (json.loads(path.read_text()) for path in (out / "anytime.json", trained_run / "sweep.json"))
    assert (out / "anytime.png").stat().st_size > 0
    assert not (trained_run / "anytime.json").exists()
    assert (written["step"], written["metric"], written["ladder"]) == (swept["step"], "top1", [0.5, 1.0])
    assert written["static"][-1]["value"] == pytest.approx(swept["rows"][-1]["top1"])
    assert written["confidence"][0]["value"] == written["static"][0]["value"]
    assert set(written["timing"]["wall"]) == {"full", "ladder", "restart"}
    assert "top-1 %" in capsys.readouterr().out


def test_the_command_looks_where_it_writes_before_it_works(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(runs.Run, "restore", lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "file").touch()
    with pytest.raises(files.NotWritableError, match=r"--out must be a folder or not there yet, got .*file"):
        command.main([f"--workdir={trained_run}", f"--out={tmp_path}/file"])
    with pytest.raises(runs.RunError, match=r"is not there: is .* the workdir of a run"):
        command.main([f"--workdir={tmp_path}"])
