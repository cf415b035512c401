"""Steps are those of the recipes that configs name."""

import jax
import jax.numpy as jnp
import numpy as np
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
    for make in (optim.sgd, optim.adamw):
        optimizer = make(lambda step: 1.0, momentum=0.9, weight_decay=0.1, decays=optim.kernels(net))
        gradient = jax.tree.map(jnp.zeros_like, params)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        np.testing.assert_allclose(updates["blocks"][1]["kernel"][...], -0.1 * net.blocks[1].kernel[...], rtol=1e-5)
        updates["blocks"][1]["kernel"] = gradient["blocks"][1]["kernel"]
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


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
