"""The width–accuracy curve and the area under it."""

import csv
import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, area_under_curve, cost, data, sweep, tasks
from awn_jax.evaluation import by_class, report
from awn_jax.evaluation.sweep import evenly_spaced_mean

PREPARATION = data.Preparation((0.3,), (0.3,))


@pytest.fixture(scope="module")
def swept(digits):
    model = LeNet3C1L((28, 28, 1), 10, channels=12, rngs=nnx.Rngs(0))
    return model, sweep(model, digits.take(100), PREPARATION, data.data_mesh(), batch_size=30, progress=False)


def test_area_of_known_curves():
    assert area_under_curve([0.25, 1.0], [0.2, 0.6]) == pytest.approx(0.4)
    assert area_under_curve([0.25, 0.5, 1.0], [0.0, 0.9, 0.9]) == pytest.approx((0.25 * 0.45 + 0.5 * 0.9) / 0.75)
    assert area_under_curve([0.25, 0.3, 1.0], [0.7, 0.7, 0.7]) == pytest.approx(0.7)
    assert area_under_curve([1.0], [0.5]) == 0.5


@pytest.mark.parametrize(("widths", "values"), [([], []), ([0.5, 0.25], [1.0, 1.0]), ([0.25, 1.0], [1.0])])
def test_area_refuses_what_is_no_curve(widths, values):
    with pytest.raises(ValueError, match="widths must ascend and have one value each"):
        area_under_curve(widths, values)


def test_evenly_spaced_mean_takes_the_sub_network_of_each_width():
    # Births at 0.5 and 0.75: a width equal to a birth still belongs to the narrower network.
    assert evenly_spaced_mean([0.25, 0.625, 1.0], [1.0, 2.0, 4.0], [0.5, 0.75], count=4) == pytest.approx(
        (1 + 1 + 2 + 4) / 4
    )


def test_one_pass_scores_every_width_as_a_run_at_that_width_does(digits, swept):
    model, result = swept
    some = digits.take(100)
    x = PREPARATION.normalised(jnp.asarray(some.images))
    assert len(result.rows) == 10
    for row in result.rows[:: len(result.rows) - 1]:
        logits = np.asarray(model(x, row.width))
        assert row.metrics["top1"] == pytest.approx((logits.argmax(-1) == some.labels).mean())
        loss = -jax.nn.log_softmax(logits)[np.arange(100), some.labels].mean()
        assert row.metrics["loss"] == pytest.approx(float(loss), rel=1e-4)
        assert (row.params, row.macs) == cost(model, (28, 28, 1), row.width)
    assert result.auc == pytest.approx(area_under_curve([r.width for r in result.rows], result.values))


def test_a_width_finds_the_row_of_its_sub_network(swept):
    model, result = swept
    for width in (0.25, 0.3, 0.5, 0.55, 0.99, 1.0):
        assert result.row(width).params == cost(model, (28, 28, 1), width).params


def test_chosen_widths_only(digits, swept):
    model, result = swept
    chosen = sweep(model, digits.take(100), PREPARATION, data.data_mesh(), at=[0.5, 1.0], progress=False)
    assert [row.width for row in chosen.rows] == [0.5, 1.0]
    assert chosen.values[-1] == result.values[-1]
    with pytest.raises(ValueError, match=r"width must be in \(0, 1\], got 1.5"):
        sweep(model, digits.take(100), PREPARATION, data.data_mesh(), at=[0.5, 1.5], progress=False)


def test_two_widths_of_one_sub_network_have_the_same_row(digits, swept):
    both = sweep(swept[0], digits.take(100), PREPARATION, data.data_mesh(), at=[0.3, 0.31, 1.0], progress=False)
    assert both.values[0] == both.values[1]
    assert both.row(0.3).width == 0.3
    assert both.row(0.31).width == 0.31
    assert both.row(0.99).width == 1.0


def test_each_class_is_scored_on_its_own_images(digits, swept, tmp_path):
    model, _ = swept
    some = digits.take(100)
    # One class less than the network tells apart: no share of no images.
    some = dataclasses.replace(some, images=some.images[some.labels != 3], labels=some.labels[some.labels != 3])
    found = by_class.by_class(model, some, PREPARATION, [0.5, 1.0], tasks.Classification())
    assert found.names == tuple("012456789")
    answers = np.asarray(model(PREPARATION.normalised(jnp.asarray(some.images)), 0.5)).argmax(-1)
    np.testing.assert_allclose(found.accuracy[0, 1], (answers[some.labels == 1] == 1).mean())
    whole = sweep(model, some, PREPARATION, data.data_mesh(), at=[0.5, 1.0], progress=False)
    np.testing.assert_allclose(found.accuracy @ found.images / len(some), whole.values)
    by_class.write(found, tmp_path / "classes.csv")
    rows = list(csv.reader((tmp_path / "classes.csv").read_text().splitlines()))
    assert rows[0] == ["class", "images", "0.5", "1"]
    assert float(rows[-1][2]) == pytest.approx(found.accuracy[0].mean())
    assert len(by_class.table(found).splitlines()) == 11


def test_reports(tmp_path, swept):
    _, result = swept
    report.write(result, tmp_path, {"split": "test"})
    report.plot({"one": result, "two": result}, tmp_path / "sweep.png")
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert {"auc", "mean10", "alpha_min", "rows"} <= set(written)
    assert set(written["rows"][0]) == {"width", "params", "macs", "top1", "loss"}
    assert (
        area_under_curve([r["width"] for r in written["rows"]], [r["top1"] for r in written["rows"]]) == written["auc"]
    )
    with (tmp_path / "sweep.csv").open() as file:
        assert [float(row["top1"]) for row in csv.DictReader(file)] == [row.metrics["top1"] for row in result.rows]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    line = r"AUC 0\.\d{4} over 10 widths in \[0\.25, 1\.00\] \(mean of 10 evenly spaced: 0\.\d{4}\)"
    assert re.fullmatch(line, report.summary(result))
    assert len(report.table(result).splitlines()) == 11
