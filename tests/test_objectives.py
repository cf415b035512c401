"""One pass for all widths and one pass for each give the same loss and the same gradient."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, widths
from awn_jax.models import axes
from awn_jax.training import nested, plan, sequential, split

SMALL = (16, 16, 1)


def network(dtype, channels=4, **options):
    return LeNet3C1L(SMALL, 10, channels=channels, dtype=dtype, implementation="reference", rngs=nnx.Rngs(0), **options)


def batch(digits, dtype, count=24):
    images = jnp.asarray(digits.images[:count, 6:22, 6:22], dtype) / 255
    return images, jnp.asarray(digits.labels[:count])


PLANS = {
    "fixed": lambda model: plan.fixed((1.0, 0.75, 0.5, 0.25)),
    "all": lambda model: plan.every(axes(model), 0.25, total=4.0),
    "random": lambda model: plan.random(axes(model), 0.25, 4),
    "ends and distillation": lambda model: plan.every(axes(model), 0.25, total=4.0, ends=0.2, distillation=0.5),
    "random and distillation": lambda model: plan.random(axes(model), 0.25, 3, distillation=1.0),
}


@pytest.mark.parametrize(("name", "dropout"), [*((name, 0.0) for name in PLANS), ("random and distillation", 0.5)])
def test_nested_equals_sequential_in_double_precision(digits, float64, name, dropout):
    model = network(jnp.float64, dropout=dropout)
    images, labels = batch(digits, jnp.float64)
    widths_plan = PLANS[name](model)
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
    drawn = jax.vmap(ends.weights)(jax.random.split(jax.random.key(0), 4000))
    assert np.all(drawn.sum(1) == 4)
    assert np.all(drawn[:, 0] >= 1)
    assert np.all(drawn[:, -1] >= 1)
    edges = np.array([0.25, *map(float, ends.edges), 1.0])
    share = np.diff(edges) / 0.75
    free = np.asarray(drawn.mean(0)) - np.isin(np.arange(len(ends.widths)), (0, len(ends.widths) - 1))
    np.testing.assert_allclose(free, 2 * share, atol=0.05)


def test_total_scales_the_weights():
    for total, expected in ((None, 35.0), (4.0, 4.0)):
        every = plan.every([widths.Axis.of(45)], 0.25, total=total)
        np.testing.assert_allclose(every.weights(jax.random.key(0)).sum(), expected, rtol=1e-6)


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
