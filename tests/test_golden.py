"""LeNet-3C1L's numbers as they were before its layers were rewritten, and a training step computed in PyTorch.

`tests/golden/` holds the numbers, and the programs that wrote them.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, build, costs, data, distinct_widths
from awn_jax import config as configs
from awn_jax.export import ordinary
from awn_jax.models import axes
from awn_jax.tasks import cross_entropy
from awn_jax.training import nested, optim, plan, split

FOLDER = pathlib.Path(__file__).parent / "golden"
GOLDEN, TORCH = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("lenet", "torch"))
WIDTHS = (0.25, 0.5, 0.75, 1.0)


def images_of(dtype):
    digits = data.load("digits", "train")
    return jnp.asarray(digits.images[:6], dtype) / 255, jnp.asarray(digits.labels[:6])


def network(dtype, **options):
    return LeNet3C1L((28, 28, 1), 10, dtype=dtype, rngs=nnx.Rngs(0), **options)


def shaken(model):
    for index, name in enumerate(("norm1", "norm2", "norm3")):
        norm, draw = getattr(model, name), np.random.default_rng(index)
        for values in (norm.scale, norm.bias, norm.mean, norm.var):
            values[...] = jnp.asarray(draw.uniform(0.5, 1.5, values.shape), values.dtype)
    return model


def assert_as_summarised(tree, golden, **tolerance):
    """Norm and eight entries of every array."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    assert len(leaves) == len(golden)
    for path, leaf in leaves:
        name = ".".join(str(getattr(p, "key", getattr(p, "name", p))) for p in path).removesuffix(".value")
        array = np.asarray(leaf, np.float64).ravel()
        spots = np.linspace(0, array.size - 1, 8).astype(int)
        found = [np.sqrt(np.square(array).sum()), *array[spots]]
        np.testing.assert_allclose(found, golden[name], err_msg=name, **tolerance)


@pytest.mark.parametrize(("name", "options"), [("45", {}), ("8", {"channels": 8, "group": 2, "core": 0.3})])
def test_initial_weights(name, options):
    assert_as_summarised(split(network(jnp.float32, **options))[1], GOLDEN["initial"][name], rtol=1e-6, atol=1e-9)


def test_costs_of_all_sub_networks():
    model = network(jnp.float32)
    at = distinct_widths(model)
    params, macs = costs(model, (28, 28, 1), at)
    assert [[w, int(p), int(m)] for w, p, m in zip(at, params, macs, strict=True)] == GOLDEN["costs"]


@pytest.mark.parametrize("method", ["s_net", "us_net", "shared_bn", "single_8"])
def test_costs_of_the_rivals(method):
    # Of a single network the published number of channels was given; now it is a share.
    name = {"single_8": "single_25"}.get(method, method)
    config = configs.parse(configs.apply(configs.default("lenet_3c1l"), name))
    params, macs = costs(build.network(config, (28, 28, 1), 10), (28, 28, 1), WIDTHS)
    expected = np.array(GOLDEN["rivals"][method])
    np.testing.assert_array_equal(macs, expected[:, 2])
    np.testing.assert_array_equal(params, expected[:, 1])


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_logits(float64, mode):
    x, _ = images_of(jnp.float64)
    model = shaken(network(jnp.float64, channels=12, core=0.2, fan_in="visible"))
    getattr(model, mode)()
    run = nnx.jit(lambda model: model.logits_at(x, WIDTHS))
    np.testing.assert_allclose(run(model), GOLDEN["logits"][mode], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "dropout", "make"),
    [
        ("all", 0.0, lambda m: plan.every(axes(m), 0.25, total=4.0, ends=0.1)),
        ("four", 0.0, lambda m: plan.fixed(WIDTHS)),
        ("dropout", 0.2, lambda m: plan.fixed(WIDTHS)),
    ],
)
def test_loss_gradient_and_statistics(float64, name, dropout, make):
    x, labels = images_of(jnp.float64)
    model = network(jnp.float64, channels=8, dropout=dropout)
    graphdef, params, rest = split(model)
    learnt = jax.jit(lambda *state: nested(graphdef, *state, x, labels, make(model), jax.random.key(5)))(params, rest)
    golden, after = GOLDEN["steps"][name], nnx.merge(graphdef, params, learnt.rest)
    np.testing.assert_allclose(learnt.loss, golden["loss"], rtol=1e-12)
    assert_as_summarised(learnt.gradient, golden["gradient"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(after.norm2.mean[...], golden["means"], rtol=1e-10)
    np.testing.assert_allclose(after.norm3.var[...], golden["variances"], rtol=1e-10)


def test_exported_logits():
    x, _ = images_of(jnp.float32)
    model = shaken(network(jnp.float32, channels=12, core=0.2, fan_in="visible"))
    model.eval()
    for width, expected in GOLDEN["exported"].items():
        np.testing.assert_allclose(ordinary(model, (28, 28, 1), float(width)).run(x), expected, rtol=1e-4, atol=1e-5)


def test_two_steps_are_those_computed_layer_by_layer_in_pytorch(float64):
    start = np.load(FOLDER / "start.npz")
    images, labels = jnp.asarray(start["images"], jnp.float64), jnp.asarray(start["labels"])
    model = network(jnp.float64, channels=6)
    names = {**{f"conv{i}": f"conv{i}.kernel" for i in (1, 2, 3)}, "dense": "head.kernel", "bias": "head.bias"}
    names |= {
        f"{ours}{i}": f"norm{i}.{field}" for i in (1, 2, 3) for ours, field in (("scale", "scale"), ("shift", "bias"))
    }
    names |= {f"{field}{i}": f"norm{i}.{field}" for i in (1, 2, 3) for field in ("mean", "var")}

    def variable(model, name):
        layer, field = names[name].split(".")
        return getattr(getattr(model, layer), field)

    for name in start.files:
        if name in names:
            variable(model, name)[...] = jnp.asarray(start[name], jnp.float64)
    optimizer = optim.sgd(lambda step: 0.01, momentum=0.9, weight_decay=0.0)
    graphdef, params, rest = split(model)
    state, step_plan = optimizer.init(params), plan.fixed(WIDTHS)
    step = jax.jit(lambda *state: nested(graphdef, *state, images, labels, step_plan, jax.random.key(0)))
    for expected in TORCH["losses"]:
        learnt = step(params, rest)
        np.testing.assert_allclose(learnt.loss, sum(expected.values()), rtol=1e-9)
        logits = nnx.merge(graphdef, params, rest, copy=True).logits_at(images, WIDTHS)
        np.testing.assert_allclose(cross_entropy(logits, labels).mean(-1), list(expected.values()), rtol=1e-9)
        np.testing.assert_allclose(learnt.losses, list(expected.values()), rtol=1e-9)
        updates, state = optimizer.update(learnt.gradient, state, params)
        params, rest = jax.tree.map(jnp.add, params, updates), learnt.rest
    after = nnx.merge(graphdef, params, rest)
    for name in names:
        np.testing.assert_allclose(variable(after, name)[...], TORCH[name], rtol=1e-8, atol=1e-11, err_msg=name)
