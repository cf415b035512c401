"""The training step: devices do not matter, weights that do not exist stay zero, the optimiser is the paper's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import target_platform
from flax import nnx
from jax.sharding import AxisType

from awn_jax import LeNet3C1L, data, widths
from awn_jax.models import axes
from awn_jax.training import OBJECTIVES, Recipe, init_state, make_train_steps, optim, plan

STEPS = 6
PLAIN = Recipe()


def made(digits, devices, how="nested", kind="device", recipe=PLAIN, implementation=None):
    """Returns the compiled function of steps, the state before the first one, and the feed."""
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
    model = LeNet3C1L((28, 28, 1), 10, channels=6, implementation=implementation, rngs=nnx.Rngs(0))
    optimizer = optim.sgd(
        optim.learning_rate("step", 0.02, STEPS, at=(0.5,), factor=0.1), momentum=0.9, weight_decay=5e-4
    )
    feed = data.make_feed(digits, mesh, seed=0, batch_size=16, kind=kind)
    steps = make_train_steps(
        model,
        optimizer,
        OBJECTIVES[how],
        plan.random(axes(model), 0.25, 4),
        data.Preparation((0.3,), (0.3,), "crop_flip"),
        feed,
        recipe=recipe,
    )
    return steps, data.replicate(init_state(model, optimizer, 0, recipe), mesh), feed


def run(digits, devices, chunk=1, **options):
    steps, state, feed = made(digits, devices, **options)
    losses = []
    for start in range(0, STEPS, chunk):
        state, metrics = steps(state, feed.constants, feed.steps(start, chunk))
        losses.extend(np.asarray(metrics["loss"]))
    assert int(state.step) == STEPS
    return np.array(losses), state


@pytest.fixture(scope="module")
def one_device(digits):
    return run(digits, 1)


def test_eight_devices_give_the_same_losses_and_statistics_as_one(digits, one_device):
    losses, state = run(digits, 8)
    np.testing.assert_allclose(losses, one_device[0], rtol=2e-4)
    # Statistics over each device's share instead of the whole batch would be far off with two images a device.
    for ours, theirs in zip(jax.tree.leaves(state.rest), jax.tree.leaves(one_device[1].rest), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=1e-4)


def test_kernels_of_a_step_are_split_over_the_devices(digits):
    steps, state, feed = made(digits, 8, implementation="pallas_tpu")
    with target_platform("tpu"):
        # JAX refuses to lower a kernel that is to run on several devices and is not split.
        lowered = steps.trace(state, feed.constants, feed.steps(0, 1)).lower(lowering_platforms=("tpu",)).as_text()
    products = 3 * 3 - 1  # of three convolutions, but for the gradient of the images
    assert lowered.count("@tpu_custom_call") == products
    assert lowered.count("sdy.manual_computation") >= products


def test_copying_each_batch_from_the_host_gives_the_same_losses(digits, one_device):
    losses, _ = run(digits, 1, kind="host")
    np.testing.assert_array_equal(losses, one_device[0])


def test_many_steps_in_one_dispatch_give_the_same_losses(digits, one_device):
    losses, _ = run(digits, 1, chunk=3)
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-4)


def test_a_loop_over_steps_gives_the_same_losses(digits, one_device, monkeypatch):
    monkeypatch.setattr("awn_jax.hardware.runs_loops_well", lambda: True)
    losses, _ = run(digits, 1, chunk=2)
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-4)


def test_weights_that_do_not_exist_stay_zero(one_device):
    kernel = one_device[1].params["conv2"].kernel[...]
    axis = widths.Axis.of(6)
    assert not np.any(np.where(widths.mask(axis, axis), 0, kernel))
    assert np.any(kernel)


def test_optimiser_is_sgd_with_the_decay_inside_the_momentum():
    rate = optim.learning_rate("step", 0.1, 100, at=(0.5, 0.75), factor=0.1)
    np.testing.assert_allclose(
        [rate(s) for s in (0, 49, 50, 74, 75, 99)], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5
    )
    optimizer = optim.sgd(lambda step: 0.1, momentum=0.9, weight_decay=0.01)
    weight, momentum, expected = jnp.float32(2.0), 0.0, 2.0
    state = optimizer.init(weight)
    for gradient in (1.0, -0.5, 0.25):
        update, state = optimizer.update(jnp.float32(gradient), state, weight)
        weight = weight + update
        momentum = 0.9 * momentum + gradient + 0.01 * expected
        expected -= 0.1 * momentum
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedules_that_end_at_zero(schedule):
    rate = optim.learning_rate(schedule, 0.1, 100, at=(), factor=1.0)
    values = [float(rate(step)) for step in range(101)]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[100]) == (pytest.approx(0.1), pytest.approx(0.0))


def test_a_recipe_of_everything_keeps_a_float32_network_and_its_average(digits, one_device):
    """Random widths, eight devices."""
    losses, state = run(digits, 8, recipe=Recipe(ema=0.5, accumulate=2, compute="bfloat16"))
    assert np.isfinite(losses).all()
    # Each part of eight images has batch norms of its own.
    np.testing.assert_allclose(losses, one_device[0], rtol=0.2)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((state.params, state.ema)))
    # The average lags behind the weights and the statistics.
    for now, then in zip(jax.tree.leaves((state.params, state.rest)), jax.tree.leaves(state.ema), strict=True):
        assert 0 < np.abs(now - then).max() < 0.5 * np.abs(now).max() + 0.01
