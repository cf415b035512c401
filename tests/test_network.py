"""Looking into models: what they are made of, whatever graph they make of it, and what is done for very many sub-networks."""

import concurrent.futures

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend import core

from awn_jax import (
    AnyWidthClassifier,
    AnyWidthHead,
    Axis,
    BatchNorm,
    Concatenate,
    Dropout,
    TriConv,
    check_prefix,
    cost,
    costs,
    data,
    distinct_widths,
    max_pool,
    sweep,
)
from awn_jax.evaluation import scorers
from awn_jax.network import UnknownLayerError, read
from awn_jax.tasks import Classification
from awn_jax.training import nested, objectives, plan, split

SIZE = (8, 8, 3)


def network(features, **parts):
    """A network of a stem, a convolution, two norms and a head, put together by a function of itself."""

    class Network(AnyWidthClassifier):
        def __init__(self, rngs):
            axis = Axis.of(8)
            self.stem, self.conv = TriConv(Axis.whole(3), axis, 3, rngs=rngs), TriConv(axis, axis, 3, rngs=rngs)
            self.norm1, self.norm2 = BatchNorm(axis), BatchNorm(axis)
            for name, make in parts.items():
                setattr(self, name, make(rngs))
            self.head = AnyWidthHead(axis, 1, 5, rngs=rngs)

        def features(self, x, width=1):
            return features(self, x, width).mean((1, 2))

    model = Network(nnx.Rngs(0, dropout=1))
    model.eval()
    return model


def plain(net, x, width):
    x = nnx.relu(net.norm1(net.stem(x, width), width))
    return x + net.conv(x, width)


def names(model):
    return [node.name for node in read(model, SIZE).nodes]


def test_what_stands_between_the_layers_is_found_under_helpers_too():
    @jax.jit
    def helper(x):
        return jnp.maximum(x, 0) * 0.5

    model = network(lambda net, x, width: jax.checkpoint(helper)(net.stem(x, width)))
    found = read(model, SIZE)
    assert names(model) == ["stem", "max", "mul", "reduce_sum", "div", "head"]
    assert found.keeps_prefix
    assert [node.inputs for node in found.nodes] == [(0,), (1,), (2,), (3,), (4,), (5,)]
    # A helper that was traced while a model was looked at serves a plain call, and the reverse.
    assert model(jnp.ones((2, *SIZE)), 0.5).shape == (2, 5)
    assert names(model) == ["stem", "max", "mul", "reduce_sum", "div", "head"]


def test_foreign_code_is_named_by_its_layer():
    class Shuffle(nnx.Module):
        def __call__(self, x):
            return x[..., ::-1]

    class Scale(nnx.Module):
        def __init__(self, rngs):
            self.factor = nnx.Param(jnp.ones(8))

        def __call__(self, x, width=1):
            return x * self.factor[: x.shape[-1]].reshape(1, 1, 1, -1)

    shuffled = network(lambda net, x, width: net.shuffle(plain(net, x, width)), shuffle=lambda rngs: Shuffle())
    assert read(shuffled, SIZE).foreign == ("shuffle (Shuffle): rev",)
    with pytest.raises(UnknownLayerError, match=r"An export needs .* ops alone, got shuffle \(Shuffle\): rev"):
        read(shuffled, SIZE).check_known("An export")
    scaled = network(lambda net, x, width: net.scale(plain(net, x, width), width), scale=Scale)
    assert read(scaled, SIZE).foreign[-1].startswith("scale (Scale): ")
    # Its weights are counted, those that a width uses.
    for width, active in ((1, 8), (0.5, 4)):
        without = cost(network(plain), SIZE, width)
        assert cost(scaled, SIZE, width) == (without.params + active, without.macs)
    assert scaled.trust(jax.random.normal(jax.random.key(0), (4, *SIZE)))
    assert scaled.nests(SIZE)
    report = shuffled.trust(jax.random.normal(jax.random.key(0), (4, *SIZE)))
    assert report is not None
    assert (report.layer, report.kind) == ("shuffle", "Shuffle")


def test_a_plain_concatenation_is_not_trusted_and_one_by_birth_is():
    def skip(join):
        def features(net, x, width):
            x = net.stem(x, width)
            return net.wide(join(net, [x, net.conv(x, width)], width), width)

        return features

    merged = Concatenate([Axis.of(8), Axis.of(8)])
    layers = {
        "wide": lambda rngs: TriConv(merged.axis, Axis.of(8), 1, rngs=rngs),
        "join": lambda rngs: Concatenate([8, 8]),
    }
    right = network(skip(lambda net, xs, width: net.join(xs, width)), **layers)
    wrong = network(skip(lambda net, xs, width: jnp.concatenate(xs, -1)), **layers)
    x = jax.random.normal(jax.random.key(0), (4, *SIZE))
    at = (0.25, 0.5, 1.0)
    assert check_prefix(right, x)
    assert read(right, SIZE).keeps_prefix
    assert not wrong.trust(x)
    # Not trusted, so each width has a pass of its own, and is right.
    for model in (right, wrong):
        for logits, width in zip(model.logits_at(x, at), at, strict=True):
            np.testing.assert_allclose(logits, model(x, width), rtol=1e-5, atol=1e-5)


def test_values_whose_channels_are_born_differently_do_not_go_together():
    model = network(
        lambda net, x, width: net.stem(x, 1) + net.other(x, 1),
        other=lambda rngs: TriConv(Axis.whole(3), Axis.of(8, group=4), 3, rngs=rngs),
    )
    assert "add takes values whose channels are born at the same widths" in read(model, SIZE).obstacle


def test_code_that_looks_at_the_width_is_not_trusted():
    x = jax.random.normal(jax.random.key(0), (4, *SIZE))
    for model in (
        network(lambda net, x, width: plain(net, x, width) * width),
        network(lambda net, x, width: plain(net, x, width) if width == 1 else net.stem(x, width)),
    ):
        assert read(model, SIZE).keeps_prefix
        assert "does something else at another width" in model.obstacle(SIZE)
        np.testing.assert_allclose(model.logits_at(x, (0.5, 1.0))[0], model(x, 0.5), rtol=1e-5, atol=1e-6)


def test_two_threads_look_at_once():
    """Neither sees the other's calls, and plain calls meanwhile are plain."""
    models = [network(plain), network(lambda net, x, width: max_pool(net.norm2(net.stem(x, width), width)))]
    expected, x = [names(model) for model in models], jnp.ones((2, *SIZE))
    outputs = [np.asarray(model(x, 0.5)) for model in models]

    def look(index):
        model = models[index % 2]
        if index % 3 == 0:
            np.testing.assert_allclose(model(x, 0.5), outputs[index % 2], rtol=1e-5)
        model.names = [index]  # not hashable, so that nothing is remembered
        return names(model)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for index, found in enumerate(pool.map(look, range(48))):
            assert found == expected[index % 2]


def test_a_state_that_is_no_parameter_is_carried():
    """Dropout anywhere: the same draws in one pass and in one pass for each width, and counters that move on."""
    model = network(
        lambda net, x, width: net.drop(plain(net, x, width), width), drop=lambda rngs: Dropout(8, 0.5, rngs=rngs)
    )
    model.train()
    x, labels = jax.random.normal(jax.random.key(0), (8, *SIZE)), jnp.arange(8) % 5
    graphdef, params, rest = split(model)
    one, many = (
        jax.jit(lambda *state, run=run: run(graphdef, *state, x, labels, plan.fixed((0.5, 1.0)), jax.random.key(0)))(
            params, rest
        )
        for run in (nested, objectives.sequential)
    )
    np.testing.assert_allclose(one.loss, many.loss, rtol=1e-5)
    counts = [nnx.merge(graphdef, params, state).drop.rngs.count[...] for state in (rest, one.rest, many.rest)]
    assert [int(count) for count in counts] == [int(counts[0]), int(counts[0]) + 1, int(counts[0]) + 1]


def test_a_users_own_dropout_trains():
    model = network(lambda net, x, width: net.drop(plain(net, x, width)), drop=lambda rngs: nnx.Dropout(0.5, rngs=rngs))
    assert read(model, SIZE).keeps_prefix
    model.train()
    x, labels = jax.random.normal(jax.random.key(0), (8, *SIZE)), jnp.arange(8) % 5
    graphdef, params, rest = split(model)
    step = (plan.fixed((0.5, 1.0)), jax.random.key(0))
    learnt = jax.jit(lambda *state: nested(graphdef, *state, x, labels, *step))(params, rest)
    assert np.isfinite(learnt.loss)
    after = nnx.merge(graphdef, params, learnt.rest)
    assert int(after.drop.rngs.count[...]) == int(model.drop.rngs.count[...]) + 1


def test_bfloat16_keeps_its_statistics_and_sums_in_float32():
    class Half(AnyWidthClassifier):
        def __init__(self, rngs):
            axis, options = Axis.of(8), {"dtype": jnp.bfloat16, "rngs": rngs}
            self.conv, self.norm = TriConv(Axis.whole(3), axis, 3, **options), BatchNorm(axis, dtype=jnp.bfloat16)
            self.head = AnyWidthHead(axis, 64, 5, **options)

        def features(self, x, width=1):
            return nnx.relu(self.norm(self.conv(x, width), width))

    model, x = Half(nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (4, *SIZE))
    assert check_prefix(model, x)
    logits = model.logits_at(x, (0.5, 1.0))
    assert logits.dtype == model.norm.mean.dtype == model.norm.var.dtype == jnp.float32
    assert model.conv.kernel.dtype == model.features(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(logits[0], model(x, 0.5), rtol=0.05, atol=0.05)


class Wide(AnyWidthClassifier):
    """More than 2,000 sub-networks: the births of three axes interleave."""

    def __init__(self, rngs, sizes=(997, 1000, 1003)):
        axes = [Axis.of(size) for size in sizes]
        self.convs = nnx.List(
            [
                TriConv(a, b, 1, implementation="reference", rngs=rngs)
                for a, b in zip([Axis.whole(1), *axes], axes, strict=False)
            ]
        )
        self.head = AnyWidthHead(axes[-1], 4, 10, rngs=rngs)

    def features(self, x, width=1):
        for conv in self.convs:
            x = nnx.relu(conv(x, width))
        return x


@pytest.fixture(scope="module")
def wide():
    model = Wide(nnx.Rngs(0))
    model.eval()
    return model


def test_costs_of_thousands_of_sub_networks_come_from_one_look(wide):
    at = distinct_widths(wide)
    assert len(at) > 2000
    params, macs = costs(wide, (2, 2, 1), at)
    assert np.all(np.diff(params) > 0)
    for index in (0, 700, len(at) - 1):
        assert (params[index], macs[index]) == cost(wide, (2, 2, 1), at[index])
        counts = [axis.outputs.active(at[index]) for axis in wide.convs]
        visible = [sum(conv.visible(at[index])) for conv in wide.convs[1:]]
        assert params[index] == counts[0] + sum(visible) + counts[-1] * 40 + 10


def test_thousands_of_sub_networks_are_swept_in_parts_of_bounded_memory(digits, wide, monkeypatch):
    monkeypatch.setattr(scorers, "NUMBERS", 300 * 40 * 10)
    some = data.ImageSet(digits.images[:40, 13:15, 13:15], digits.labels[:40], 10)
    preparation, mesh = data.Preparation((0.3,), (0.3,)), data.data_mesh()
    at = distinct_widths(wide)
    score = scorers.scorer(wide, at, preparation, Classification(), some.image_size, 40, mesh)
    assert score.chunks == " in 3 parts"
    result = sweep(wide, some, preparation, mesh, progress=False)
    assert len(result.rows) == len(at) > 2000
    few = sweep(wide, some, preparation, mesh, at=[at[0], at[900], 1.0], progress=False)
    for row in few.rows:
        assert result.row(row.width).metrics == pytest.approx(row.metrics, rel=1e-4)


def test_random_widths_of_thousands_cost_no_more_than_of_a_few(wide):
    """The program of a step does not grow with the number of sub-networks, in one pass or in one for each."""

    def program(model, objective):
        graphdef, params, rest = split(model)
        drawn = plan.random(tuple(conv.outputs for conv in model.convs), 0.25, 4)
        x, labels = jax.ShapeDtypeStruct((4, 2, 2, 1), jnp.float32), jnp.zeros(4, jnp.int32)
        step = jax.make_jaxpr(lambda p, r, x: objective(graphdef, p, r, x, labels, drawn, jax.random.key(0)).loss)
        return operations(step(params, rest, x).jaxpr)

    def operations(jaxpr):
        return sum(1 + sum(map(operations, core.jaxprs_in_params(eqn.params))) for eqn in jaxpr.eqns)

    few = Wide(nnx.Rngs(0), (8, 8, 8))
    for objective in (nested, objectives.sequential):
        assert program(wide, objective) == program(few, objective)
