"""Steps are those of the recipes that configs name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from awn_jax import Axis, BatchNorm, DepthwiseConv, TriConv
from awn_jax.training import optim


class Net(nnx.Module):
    def __init__(self):
        axis, rngs = Axis.of(4), nnx.Rngs(0)
        self.blocks = nnx.List([DepthwiseConv(axis, 3, rngs=rngs), TriConv(axis, axis, 1, use_bias=True, rngs=rngs)])
        self.norm = BatchNorm(axis)


@jax.numpy_dtype_promotion("standard")  # optax's Adam
def test_kernels_decay_alone():
    net = Net()
    params = nnx.state(net, nnx.Param)
    for name, make in optim.OPTIMIZERS.items():
        optimizer = make(lambda step: 1.0, momentum=0.9, weight_decay=0.1, decays=optim.kernels(net))
        gradient = jax.tree.map(jnp.zeros_like, params)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        # LAMB's steps are as long as the array.
        expected = (-1 if name == "lamb" else -0.1) * net.blocks[1].kernel[...]
        np.testing.assert_allclose(updates["blocks"][1]["kernel"][...], expected, rtol=1e-5)
        updates["blocks"][1]["kernel"] = gradient["blocks"][1]["kernel"]
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


@jax.numpy_dtype_promotion("standard")
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_no_optimiser_moves_weights_that_do_not_exist(name):
    optimizer = optim.OPTIMIZERS[name](lambda step: 0.1, momentum=0.9, weight_decay=0.1)
    exists = jnp.triu(jnp.ones((4, 4)))
    weights = {"kernel": exists / 2, "bias": jnp.zeros(4)}
    state = optimizer.init(weights)
    for key in jax.random.split(jax.random.key(0), 3):
        gradient = {"kernel": exists * jax.random.normal(key, (4, 4)), "bias": jnp.ones(4)}
        updates, state = optimizer.update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
    assert not np.any(weights["kernel"] * (1 - exists))
    assert np.all(np.abs(weights["kernel"] - exists / 2)[exists > 0] > 0.001)


def test_a_gradient_that_is_too_long_is_scaled_down_over_all_parameters():
    optimizer = optim.clipped(optim.sgd(lambda step: 1.0, momentum=0.0, weight_decay=0.0), 2.0)
    for length, left in ((10.0, 2.0), (1.0, 1.0)):
        gradient = {"a": jnp.array([0.6 * length]), "b": jnp.array([0.8 * length])}
        updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
        np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.6 * left, -0.8 * left], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["step", "linear", "cosine"])
def test_the_rate_warms_up_to_its_schedule(schedule):
    plain, warmed = (
        optim.learning_rate(schedule, 0.2, 100, at=(0.5,), factor=0.1, warmup=warmup) for warmup in (0, 10)
    )
    shares = [float(warmed(step) / plain(step)) for step in range(99)]
    np.testing.assert_allclose(shares, np.minimum(1, np.arange(1, 100) / 10), rtol=1e-5)


def test_nesterovs_momentum_is_pytorchs():
    optimizer = optim.sgd(lambda step: 0.1, momentum=0.9, weight_decay=0.0, nesterov=True)
    state, buffer = optimizer.init(jnp.zeros(())), 0.0
    for gradient in (1.0, -2.0, 0.5):
        update, state = optimizer.update(jnp.asarray(gradient), state, jnp.zeros(()))
        buffer = 0.9 * buffer + gradient
        np.testing.assert_allclose(update, -0.1 * (gradient + 0.9 * buffer), rtol=1e-6)


def test_a_rate_may_decay_in_every_epoch_also_where_epochs_are_shorter_than_a_step():
    epochs = 480
    for steps in (10 * epochs, epochs // 4):
        rate = optim.learning_rate("step", 0.045, steps, at=tuple(e / epochs for e in range(1, epochs)), factor=0.98)
        for step in (0, 1, steps // 2, steps - 1):
            passed = sum(round(e / epochs * steps) <= step for e in range(1, epochs))
            np.testing.assert_allclose(rate(jnp.asarray(step)), 0.045 * 0.98**passed, rtol=1e-4)
