"""Coarse questions at narrow widths, fine ones at wide widths, in one pass."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import awn_jax
from awn_jax import LeNet3C1L, build, data, evaluation, page, tasks, widths
from awn_jax import config as configs
from awn_jax.data.sources.found import Found
from awn_jax.evaluation import report, scorers
from awn_jax.predict import __main__ as predict
from awn_jax.tasks import HIERARCHIES, Hierarchy, Taxonomy
from awn_jax.training import nested, plan, sequential, split

NAMES = tuple(map(str, range(10)))
DIGITS = Hierarchy.grouped(HIERARCHIES["digits"], NAMES)
# Four classes in two superclasses.
PAIRS = Hierarchy.numbered((0, 1, 1, 0), ("even", "odd"), 4)
AT = (0.25, 0.5, 1.0)


def outputs(count=5, widths=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(widths, count, 6)), jnp.float32)


def test_the_loss_at_a_width_moves_no_logit_of_the_other_question():
    task, targets = Taxonomy(PAIRS, 0.5), jnp.array([0, 1, 2, 3, 3])
    for bound in (
        task.at(AT),
        jax.jit(lambda at: None) and task.at(jnp.asarray(AT)),
        task.at((0.25, jnp.float32(0.5), 1)),
    ):
        slope = np.asarray(jax.grad(lambda out, bound=bound: bound.losses(out, targets).sum())(outputs()))
        taught = np.asarray(jax.grad(lambda out, bound=bound: bound.taught(out, outputs(seed=1)[2]).sum())(outputs()))
        for found in (slope, taught):
            asked = np.arange(6) >= 4
            np.testing.assert_array_equal(
                found != 0, np.broadcast_to(np.stack([asked, ~asked, ~asked])[:, None], found.shape)
            )


def test_metrics_are_those_of_the_definition():
    task, targets, out = Taxonomy(PAIRS, 0.5).at(AT), jnp.array([0, 1, 2, 3, 3]), outputs()
    counted = jnp.array([True, True, True, True, False])
    found = task.finish(task.update(task.start(3), out, targets, counted))
    out, targets = np.asarray(out), np.asarray(targets)
    shares = np.exp(out[..., :4]) / np.exp(out[..., :4]).sum(-1, keepdims=True)
    summed = np.stack([shares[..., 0] + shares[..., 3], shares[..., 1] + shares[..., 2]], -1)[:, :4]
    right = np.array([0, 1, 1, 0])
    np.testing.assert_allclose(found["coarse_summed"], (summed.argmax(-1) == right).mean(-1))
    np.testing.assert_allclose(found["fine"], (out[:, :4, :4].argmax(-1) == targets[:4]).mean(-1))
    own = np.asarray(out[0, :4, 4:].argmax(-1) == right).mean()
    np.testing.assert_allclose(found["coarse"], [own, *found["coarse_summed"][1:]])
    np.testing.assert_allclose(task.quality(out[:, :4], targets[:4]).mean(-1), found["coarse"])
    soft = -np.log(np.exp(out[0]) / np.exp(out[0])[:, 4:].sum(-1, keepdims=True))
    expected = np.mean([soft[i, 4 + k] for i, k in enumerate(right)])
    np.testing.assert_allclose(found["loss"][0], expected, rtol=1e-5)


def test_shares_of_classes_are_shares_of_their_superclasses():
    """As mixed images and smoothed labels have them."""
    hard, out = jnp.array([0, 1, 2, 3, 3]), outputs()
    task = Taxonomy(PAIRS, 0.5).at(AT)
    np.testing.assert_allclose(task.losses(out, jax.nn.one_hot(hard, 4)), task.losses(out, hard), rtol=1e-5)
    smooth = Taxonomy(PAIRS, 0.5, smoothing=0.2).at(AT)
    coarse = jax.nn.one_hot(jnp.array([0, 1, 1, 0, 0]), 2) * 0.8 + 0.1
    expected = -(coarse * jax.nn.log_softmax(out[0, :, 4:])).sum(-1)
    np.testing.assert_allclose(smooth.losses(out, hard)[0], expected, rtol=1e-5)


def test_one_pass_learns_what_a_pass_for_each_width_does(digits, float64):
    """Widths that are drawn, and distillation, ask their own questions as well."""
    model = LeNet3C1L((16, 16, 1), 13, channels=4, dtype=jnp.float64, implementation="reference", rngs=nnx.Rngs(0))
    images = jnp.asarray(digits.images[:16, 6:22, 6:22], jnp.float64) / 255
    labels = jnp.asarray(digits.labels[:16])
    at = dataclasses.replace(plan.random(awn_jax.models.axes(model), 0.25, 3, distillation=0.5), sizes=(1.0,))
    graphdef, params, rest = split(model)
    task = Taxonomy(DIGITS, 0.6)
    one, many = (
        jax.jit(lambda p, r, o=objective: o(graphdef, p, r, images, labels, at, jax.random.key(3), task))(params, rest)
        for objective in (nested, sequential)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_widths_of_one_sub_network_may_be_asked_different_questions(digits, monkeypatch):
    model = LeNet3C1L((28, 28, 1), 13, channels=4, rngs=nnx.Rngs(0))
    some, preparation = digits.take(40), data.Preparation((0.3,), (0.3,))
    at, task = (0.3, 0.45, 0.5, 0.55, 1.0), Taxonomy(DIGITS, 0.5)
    assert widths.Axis.of(4).active_at(at).tolist() == [1, 2, 2, 2, 4]

    def swept():
        return awn_jax.sweep(model, some, preparation, data.data_mesh(), at=at, task=task, progress=False)

    whole = swept()
    monkeypatch.setattr(scorers, "NUMBERS", 2 * 40 * 13)
    for one, other in zip(whole.rows, swept().rows, strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-5)
    assert whole.rows[1].metrics["loss"] != pytest.approx(whole.rows[2].metrics["loss"])
    assert whole.rows[2].metrics["loss"] == pytest.approx(whole.rows[3].metrics["loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": (0, 1, 0)}, "superclasses must be one for each of 10 classes, got 3"),
        ({"groups": (0, 0, 0, 0, 0, 0, 0, 0, 0, 2)}, "every superclass must have a class, '1' has none"),
        ({"map": {"a": list("012345678")}}, "every class must have a superclass, '9' has none"),
        ({"map": {"a": list("0123456789"), "b": ["3"]}}, "class '3' must be in one superclass, it is in 'b'"),
        ({"map": {"a": ["ten"]}}, "classes of superclass 'a' must be among the set's, got 'ten'"),
        ({"map": ["a"]}, "must hold an object with a list of class names for each superclass"),
        ({"map": None}, "must be a JSON file, it cannot be read"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(settings, message, digits, tmp_path):
    if "map" in settings:
        if settings["map"] is not None:
            (tmp_path / "map.json").write_text(json.dumps(settings["map"]))
        settings = {"map": str(tmp_path / "map.json")}
    config = configs.parse({"model": {"name": "lenet_3c1l"}, "task": "taxonomy", "taxonomy": settings})
    with pytest.raises(configs.ConfigError, match=message):
        build.hierarchy(config, digits)


def test_what_makes_no_sense_is_refused_before_work():
    def parse(**taxonomy):
        return configs.parse({"model": {"name": "lenet_3c1l"}, "task": "taxonomy", "taxonomy": taxonomy})

    with pytest.raises(configs.ConfigError, match=r"taxonomy.fine_from must be in \(0, 1\], got 1.5"):
        parse(fine_from=1.5)
    with pytest.raises(configs.ConfigError, match=r"taxonomy\.groups must be 0 or more"):
        parse(groups=(0, -1))
    with pytest.raises(configs.ConfigError, match=r"taxonomy\.map must be empty where groups are given, got 'a.json'"):
        parse(map="a.json", groups=(0, 0))
    with pytest.raises(ValueError, match=r"superclass of class 1 must be in \[0, 2\), got 7"):
        Hierarchy.numbered((0, 7, 1), ("a", "b"), 3)
    with pytest.raises(ValueError, match="task 'taxonomy' needs a hierarchy"):
        tasks.make("taxonomy")
    with pytest.raises(ValueError, match="outputs must be 6 logits, of classes and superclasses, got 4"):
        Taxonomy(PAIRS).losses(jnp.zeros((1, 2, 4)), jnp.array([0, 1]))


def test_images_may_say_their_superclasses():
    images, labels, names = np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 1, 2, 1]), ("images", "labels")

    def found(coarse):
        whole = Found(images, labels, names, classes=4, coarse=np.array(coarse), superclass_names=("a", "b"))
        return whole.checked().take(3)

    config = configs.parse({"model": {"name": "lenet_3c1l"}, "data": {"name": "own"}, "task": "taxonomy"})
    assert found([0, 1, 0, 1]).superclasses == (0, 1, 0, -1)
    with pytest.raises(configs.ConfigError, match=r"superclass of class 3 must be in \[0, 2\), got -1"):
        build.hierarchy(config, found([0, 1, 0, 1]))
    assert found([0, 1, 0, 0]).superclasses == ()  # images of class 1 do not agree
    with pytest.raises(configs.ConfigError, match=r"must say the superclasses of own, whose images do not"):
        build.hierarchy(config, found([0, 1, 0, 0]))


@pytest.fixture(scope="module")
def taught(tmp_path_factory, repository):
    """A few steps on digits by name of the task alone, as a user would."""
    config = configs.read(str(repository / "configs" / "lenet_digits.py"))
    config = dataclasses.replace(
        config,
        task="taxonomy",
        model=dataclasses.replace(config.model, options=dataclasses.replace(config.model.options, channels=6)),
        train=dataclasses.replace(config.train, epochs=1.0),
    )
    return awn_jax.train(config, tmp_path_factory.mktemp("taxonomy") / "run", progress=False)


def test_a_run_is_swept_shown_and_opened_without_its_images(taught, tmp_path):
    sweep, run = taught.sweep, awn_jax.open_run(taught.run.folder)
    assert run.task.hierarchy == DIGITS
    assert run.outputs == 13
    assert sweep.metric == "coarse"
    assert sweep.rows[0].metrics["coarse"] > max(0.5, sweep.rows[0].metrics["fine"])
    assert sweep.rows[-1].metrics["coarse"] == sweep.rows[-1].metrics["coarse_summed"]
    told = json.loads((run.folder / "sweep.json").read_text())["areas"]
    assert told["coarse"] == pytest.approx(sweep.auc)
    fine = [row.metrics["fine"] for row in sweep.rows]
    assert told["fine"] == pytest.approx(evaluation.area_under_curve([row.width for row in sweep.rows], fine))
    assert f"fine {told['fine']:.4f}" in report.summary(sweep)
    images = run.images("test").take(40)
    page.write_run(tmp_path / "page.html", run, taught.model, taught.step, sweep, images, ({}, ""))
    text = (tmp_path / "page.html").read_text()
    assert "closed loops" in text
    assert "coarse top-1 %" in text


def test_answers_are_named_by_the_question_of_their_width(taught, capsys):
    network = awn_jax.load(taught.run.folder)
    picture = taught.run.images("test").images[0]
    narrow, wide = network.predict(picture, 0.25), network.predict(picture, 1)
    assert narrow.class_names == DIGITS.names
    assert wide.class_names == NAMES
    assert narrow.probabilities.sum() == pytest.approx(1, abs=1e-5) == wide.probabilities.sum()
    predict.main(["--test-images=40", f"--weights={taught.run.folder}", "--width=0.25,1"])
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert int(last[1]) > 20
    sure = network.predict(picture, confidence=0.0)
    assert sure.label in DIGITS.names
