"""One pass for all widths and one pass for each give the same loss and the same gradient."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, families, widths
from awn_jax.models import axes
from awn_jax.tasks import Classification, cross_entropy
from awn_jax.training import nested, plan, sequential, split

SMALL = (16, 16, 1)


def network(dtype, channels=4, **options):
    return LeNet3C1L(SMALL, 10, channels=channels, dtype=dtype, implementation="reference", rngs=nnx.Rngs(0), **options)


def network_of_a_user(dtype):
    """Not of the library's making in every part: plain JAX between the layers, and a layer of its own."""

    class Own(LeNet3C1L):
        def features(self, x, width=1):
            return super().features(jnp.sin(x) + x, width)[:, ::-1]

    return Own(SMALL, 10, channels=4, dtype=dtype, implementation="reference", rngs=nnx.Rngs(0))


def batch(digits, dtype, count=24):
    images = jnp.asarray(digits.images[:count, 6:22, 6:22], dtype) / 255
    return images, jnp.asarray(digits.labels[:count])


PLANS = {
    "fixed": lambda model: plan.fixed((1.0, 0.75, 0.5, 0.25)),
    "random": lambda model: plan.random(axes(model), 0.25, 4),
    "ends and distillation": lambda model: plan.every(axes(model), 0.25, total=4.0, ends=0.2, distillation=0.5),
    "random and distillation": lambda model: plan.random(axes(model), 0.25, 3, distillation=1.0),
}


@pytest.mark.parametrize("name", PLANS)
def test_nested_equals_sequential_in_double_precision(digits, float64, name):
    model = network(jnp.float64, dropout=0.5 if name == "random and distillation" else 0.0)
    images, labels = batch(digits, jnp.float64)
    # Two programs for drawn widths in place of eight.
    widths_plan = dataclasses.replace(PLANS[name](model), sizes=(0.6, 1.0))
    graphdef, params, stats = split(model)
    one, many = (
        jax.jit(
            lambda p, s, objective=objective: objective(graphdef, p, s, images, labels, widths_plan, jax.random.key(3))
        )(params, stats)
        for objective in (nested, sequential)
    )
    assert one.loss.dtype == jnp.float64
    np.testing.assert_allclose(one.loss, many.loss, rtol=1e-12)
    chex.assert_trees_all_close(one, many, rtol=1e-12, atol=1e-12)


def test_a_narrow_widths_loss_does_not_touch_later_channels(digits):
    model = network(jnp.float32)
    images, labels = batch(digits, jnp.float32)
    graphdef, params, stats = split(model)
    narrow = plan.fixed((0.5,))
    for objective in (nested, sequential):
        step = jax.jit(functools.partial(objective, graphdef, plan=narrow, key=jax.random.key(0)))
        gradient = step(params, stats, images, labels).gradient
        k = widths.Axis.of(4).active(0.5)
        for name in ("conv1", "conv2", "conv3"):
            kernel = np.asarray(gradient[name].kernel[...])
            assert np.any(kernel[..., :k])
            assert not np.any(kernel[..., k:])
        assert not np.any(gradient["head"].kernel[k:])
        assert not np.any(gradient["norm2"].scale[k:])


def test_random_plan_always_has_the_ends_and_draws_in_proportion():
    ends = plan.random([widths.Axis.of(9)], 0.25, 4)
    assert (ends.widths, ends.weights, ends.passes) == ((0.25, 1.0), (1.0, 1.0), 4)
    drawn = np.asarray(jax.vmap(ends.drawn)(jax.random.split(jax.random.key(0), 4000)))
    assert drawn.shape == (4000, 2)
    np.testing.assert_allclose(np.quantile(drawn, (0, 0.25, 0.5, 0.75, 1)), (0.25, 0.4375, 0.625, 0.8125, 1), atol=0.02)
    size = np.asarray(ends.size(jnp.asarray(drawn)))
    assert np.all(drawn <= np.array(ends.sizes)[size])
    assert np.all((size == 0) | (drawn > np.array(ends.sizes)[size - 1]))


@pytest.mark.parametrize(("layers", "sizes"), [(1, 8), (8, 8), (16, 4), (60, 2)])
def test_a_deep_network_has_few_programs_for_a_drawn_width(layers, sizes):
    drawn = plan.random([widths.Axis.of(9)], 0.25, 4, layers=layers)
    assert len(drawn.sizes) == sizes
    assert drawn.sizes[-1] == 1


def test_total_scales_the_weights():
    for total, expected in ((None, 35.0), (4.0, 4.0)):
        every = plan.every([widths.Axis.of(45)], 0.25, total=total)
        np.testing.assert_allclose(every.all_weights().sum(), expected, rtol=1e-6)


@pytest.mark.parametrize("at", [(), (0.5, 0.5), (0.0, 1.0), (0.5, 1.5)])
def test_fixed_widths_that_make_no_sense_are_refused(at):
    with pytest.raises(ValueError, match="fixed width"):
        plan.fixed(at)


def test_random_needs_something_to_draw():
    with pytest.raises(ValueError, match=r"minimum must leave two sub-networks to draw from, got 1\.0"):
        plan.random([widths.Axis.of(9)], 1.0, 4)


def test_random_needs_two_passes():
    with pytest.raises(ValueError, match="passes must be at least 2"):
        plan.random([widths.Axis.of(9)], 0.25, 1)


@pytest.mark.parametrize(("alpha", "bound"), [(0.3, 0.7), (0.62, 1.0)])
def test_a_width_that_is_data_is_the_static_one(digits, float64, alpha, bound):
    """In every family: logits, gradient and statistics; sliced to a bound or not."""
    images, labels = batch(digits, jnp.float64, 8)
    for family in ("triangular", "us_net", "shared_bn"):
        model = network(jnp.float64, channels=9, family=families.make(family))
        graphdef, params, rest = split(model)

        def learnt(width, graphdef=graphdef, params=params, rest=rest):
            def loss(params):
                model = nnx.merge(graphdef, params, rest, copy=True)
                logits = model(images, width)
                return cross_entropy(logits[None], labels).mean(), (logits, split(model)[2])

            return jax.value_and_grad(loss, has_aux=True)(params)

        static = jax.jit(lambda: learnt(alpha))()
        (_, (logits, rest)), gradient = jax.jit(lambda alpha: learnt(widths.Drawn(alpha, bound)))(jnp.float64(alpha))
        for one, other in (((logits, gradient), (static[0][1][0], static[1])), (rest, static[0][1][1])):
            chex.assert_trees_all_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_foreign_layer_is_not_trusted_until_it_was_tried(digits):
    images, labels = batch(digits, jnp.float32)
    model = network_of_a_user(jnp.float32)
    step = (plan.fixed((0.5, 1.0)), jax.random.key(0))
    with pytest.raises(ValueError, match=r"nested training needs .*: Own: rev is none of the library's ops"):
        nested(*split(model), images, labels, *step)
    assert model.trust(images)
    graphdef, *state = split(model)
    jax.eval_shape(lambda *state: nested(graphdef, *state, images, labels, *step), *state)


def test_a_foreign_layer_that_looks_ahead_is_named(digits):
    class Mixing(LeNet3C1L):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.mixer = nnx.LayerNorm(4, use_bias=False, use_scale=False, rngs=nnx.Rngs(0))

        def features(self, x, width=1):
            return self.mixer(super().features(x, width)) if width == 1 else super().features(x, width)

    images, labels = batch(digits, jnp.float32)
    model = Mixing(SMALL, 10, channels=4, rngs=nnx.Rngs(0))
    report = model.trust(images)
    assert report is not None
    assert not report
    with pytest.raises(ValueError, match=r"mixer \(LayerNorm\)"):
        nested(*split(model), images, labels, plan.fixed((0.5, 1.0)), jax.random.key(0))
    # Each width for itself needs no trust.
    graphdef, *state = split(model)
    step = (plan.fixed((0.5, 1.0)), jax.random.key(0))
    jax.eval_shape(lambda *state: sequential(graphdef, *state, images, labels, *step), *state)


def test_soft_labels_and_a_loss_of_ones_own(digits):
    images, labels = batch(digits, jnp.float32, 8)
    parts, step = split(network(jnp.float32)), (plan.fixed((0.5, 1.0)), jax.random.key(0))
    graphdef, *state = parts

    def loss(objective, targets, *task):
        return jax.jit(lambda *state: objective(graphdef, *state, images, targets, *step, *task).loss)(*state)

    hard = loss(nested, labels)
    np.testing.assert_allclose(loss(nested, jax.nn.one_hot(labels, 10)), hard, rtol=1e-6)
    doubled = Classification(lambda logits, labels: 2 * cross_entropy(logits, labels))
    for objective in (nested, sequential):
        np.testing.assert_allclose(loss(objective, labels, doubled), 2 * hard, rtol=1e-5)
