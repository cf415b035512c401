"""Early exits: depth beside width, all trained at once."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import awn_jax
from awn_jax import anytime, data, models, network
from awn_jax import config as configs
from awn_jax.anytime import __main__ as command
from awn_jax.anytime import exits
from awn_jax.models import Exit
from awn_jax.tasks import Classification
from awn_jax.training import nested, plan, sequential, split
from tests.test_models_all import QUICK, compiled, filled, outputs

SIZE, CLASSES, AT = (9, 8, 3), 5, (0.5, 1.0)
SMALL = {"depth": 18, "form": "cifar", "multiplier": 0.1, "grid": 4, "blocks": (1, 1, 0, 0)}


def resnet(**options):
    make = lambda: models.ResNet(SIZE, CLASSES, rngs=nnx.Rngs(0), **{**SMALL, "exits": True, **options})  # noqa: E731
    return filled(nnx.eval_shape(make))


@pytest.fixture(scope="module")
def model():
    made = resnet()
    made.eval()
    return made


def images(count=4, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=(count, *SIZE)), dtype)


def test_an_exit_is_the_shallower_network(model):
    """One with those stages alone, and the head that stands there."""
    (early, whole), shallow = models.exits(model), resnet(exits=False, blocks=(1, 0, 0, 0))
    theirs = dict(nnx.to_flat_state(nnx.state(model)))
    for path, variable in nnx.to_flat_state(nnx.state(shallow)):
        variable[...] = theirs[("early", 0, *path[1:]) if path[0] == "head" else path][...]
    shallow.eval()
    assert whole is model
    for width in AT:
        np.testing.assert_allclose(outputs(early, images(), width), outputs(shallow, images(), width), rtol=1e-5)
        assert network.cost(early, SIZE, width) == network.cost(shallow, SIZE, width)
    with pytest.raises(ValueError, match=r"number must be in \[0, 1\], got 2"):
        Exit(model, 2)


def test_the_network_itself_is_the_one_without_exits(model):
    plain = resnet(exits=False)
    assert network.read(model, SIZE).plan() == network.read(plain, SIZE).plan()
    assert network.cost(model, SIZE, 1) == network.cost(plain, SIZE, 1)


def test_exits_and_widths_come_from_one_pass_and_compose(model):
    together = compiled(lambda model, x: model.ends_at(x, AT), model, images())
    for part, found in zip(models.exits(model), together, strict=True):
        np.testing.assert_allclose(found[0], outputs(part, images(), 0.5), rtol=1e-4, atol=1e-5)
    early = models.exits(model)[0]
    _, state = anytime.start(early, images(), 0.5)
    widened, state = anytime.widen(state, 1)
    np.testing.assert_allclose(widened, together[0][1], rtol=1e-4, atol=1e-5)


def test_all_exits_are_trained_in_one_pass_as_in_a_pass_for_each_width(float64):
    model = resnet(dtype="float64")
    graphdef, params, rest = split(model)
    x, labels, at = images(dtype=jnp.float64), jnp.arange(4), plan.fixed(AT, distillation=0.5)
    one, many = (
        jax.jit(lambda p, r, o=objective: o(graphdef, p, r, x, labels, at, jax.random.key(0)), compiler_options=QUICK)(
            params, rest
        )
        for objective in (nested, sequential)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    assert np.any(one.gradient["early"][0]["kernel"][...])
    task, expected = Classification(), 0
    for found in compiled(lambda model, x: model.ends_at(x, AT), model, x):
        (narrow, wide), taught = task.losses(found, labels).mean(-1), task.taught(found, found[1]).mean(-1)[0]
        expected += (wide + (narrow + taught) / 2) / 2
    np.testing.assert_allclose(one.loss, expected, rtol=1e-8)


def test_the_policy_is_never_worse_than_width_alone(model):
    draw = np.random.default_rng(0)
    shown = data.ImageSet(draw.normal(size=(60, *SIZE)).astype(np.float32), draw.integers(0, 5, 60).astype(np.int32), 5)
    at = (0.25, 0.5, 0.75, 1.0)
    found = exits.grid(model, shown, data.Preparation((0.0,) * 3, (1.0,) * 3), at, Classification(), progress=False)
    assert [(choice.exit, choice.width) for choice in found] == [(e, w) for e in (0, 1) for w in at]
    assert found[-1].macs == network.cost(model, SIZE, 1).macs
    alone = [choice for choice in found if choice.exit == 1]
    for budget in [choice.macs for choice in found]:
        chosen, width = exits.best(found, budget), [c.value for c in alone if c.macs <= budget]
        assert chosen.macs <= budget
        assert chosen.value >= max(width, default=0)
    table = exits.table(found)
    assert all(a.macs < b.macs and a.value < b.value for a, b in itertools.pairwise(table))
    with pytest.raises(exits.BudgetError, match=r"macs must be at least .*, got 10"):
        exits.best(found, 10)


def test_a_run_with_exits_tells_its_policy(tmp_path, repository, capsys):
    config = configs.read(str(repository / "configs" / "lenet_digits.py"), {"model.name": "resnet"})
    options = dataclasses.replace(config.model.options, **{**SMALL, "multiplier": 0.15, "exits": True})
    train = dataclasses.replace(config.train, epochs=0.3)
    fixed = dataclasses.replace(config.widths, train="fixed", fixed=(0.5, 1.0))
    model = dataclasses.replace(config.model, options=options)
    config = dataclasses.replace(config, model=model, train=train, widths=fixed)
    trained = awn_jax.train(config, tmp_path / "run", progress=False)
    command.main([f"--workdir={trained.run.folder}", "--rounds=0", "--ladder", "0.5", "1"])
    chosen = json.loads((trained.run.folder / "anytime.json").read_text())["exits"]
    assert chosen[0]["macs"] < trained.sweep.row(0.5).macs
    assert "width alone" in capsys.readouterr().out
