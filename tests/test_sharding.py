"""An optimiser's state that devices share out: the same numbers, a fraction of the memory, checkpoints for any devices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

from awn_jax import AnyWidthClassifier, AnyWidthHead, Axis, BatchNorm, TriConv, data, global_mean, relu
from awn_jax.training import OBJECTIVES, Recipe, init_state, make_train_steps, optim, plan, sharding
from awn_jax.training.checkpoints import Checkpoints

RATE = 1e-3


class Small(AnyWidthClassifier):
    def __init__(self, rngs):
        axis = Axis.of(16)
        self.conv, self.norm = TriConv(Axis.whole(1), axis, 3, strides=4, rngs=rngs), BatchNorm(axis)
        self.head = AnyWidthHead(axis, 1, 10, rngs=rngs)

    def features(self, x, width=1):
        return global_mean(relu(self.norm(self.conv(x, width), width)))


@jax.numpy_dtype_promotion("standard")  # optax's Adam
def trained(digits, *, shared):
    """The state of a small network after three steps on eight devices, two of them in a loop, and their losses."""
    mesh = data.data_mesh()
    model = Small(nnx.Rngs(0))
    # Clipping looks at all pieces together.
    optimizer = optim.clipped(optim.adamw(lambda step: RATE, momentum=0.9, weight_decay=0.1), 1.0)
    feed = data.make_feed(digits, mesh, seed=0, batch_size=16)
    recipe = Recipe(shared_over=mesh if shared else None)
    steps = make_train_steps(
        model,
        optimizer,
        OBJECTIVES["nested"],
        plan.fixed((0.5, 1.0)),
        data.Preparation((0.3,), (0.3,)),
        feed,
        recipe=recipe,
    )
    state = init_state(model, optimizer, 0, recipe)
    state = data.place(state, sharding.of(state, mesh, shared=shared))
    state, first = steps(state, feed.constants, feed.steps(0, 2))
    state, second = steps(state, feed.constants, feed.steps(2, 2))
    return state, np.concatenate([first["loss"], second["loss"]])


@pytest.fixture(scope="module")
def both(digits):
    # A loop keeps its state where it lies; written out, the compiler could choose anew for every step.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("awn_jax.hardware.runs_loops_well", lambda: True)
        return {shared: trained(digits, shared=shared) for shared in (False, True)}


def held(tree, device=0):
    """Bytes on one device."""
    return sum(array.addressable_shards[device].data.nbytes for array in jax.tree.leaves(tree))


def test_sharing_changes_memory_and_no_number(both):
    (whole, losses), (shared, same) = both[False], both[True]
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(shared.params), jax.tree.leaves(whole.params), strict=True):
        # Adam divides by the size of a gradient: where that is next to nothing, rounding counts.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=RATE / 10)
        assert ours.sharding.is_fully_replicated
    # Eight devices hold an eighth each, but for the ten biases, which are two pieces, and the counter.
    assert held(whole.opt_state) == sum(array.nbytes for array in jax.tree.leaves(whole.opt_state))
    assert held(whole.opt_state) / 8 < held(shared.opt_state) < held(whole.opt_state) / 7
    assert [held(shared.opt_state, device) for device in range(8)] == [held(shared.opt_state)] * 8


@pytest.mark.parametrize(("devices", "shared"), [(8, False), (2, True), (1, True)])
def test_checkpoints_are_for_any_number_of_devices(both, tmp_path, devices, shared):
    state, _ = both[True]
    store = Checkpoints(tmp_path)
    store.save(state, wait=True)
    found = store.restore(state, data.data_mesh(jax.devices()[:devices]), shared=shared)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(found.opt_state), jax.device_get(state.opt_state))
    # All arrays divide by two, but for the counter.
    share = held(found.opt_state) / held(jax.device_put(state.opt_state, jax.devices()[0]))
    assert share == pytest.approx(1 / devices if shared else 1, rel=0.01)
    store.close()


@pytest.mark.parametrize(
    ("shape", "pieces", "spec"),
    [
        ((), 1, PartitionSpec()),
        ((7,), 1, PartitionSpec()),
        ((16,), 8, PartitionSpec("pieces")),
        ((3, 3, 8, 24), 8, PartitionSpec(None, None, None, "pieces")),
        ((12, 6), 4, PartitionSpec("pieces")),
        ((5, 10), 2, PartitionSpec(None, "pieces")),
    ],
)
def test_an_array_is_cut_along_the_axis_that_gives_most_pieces(shape, pieces, spec):
    found = sharding.share(shape, data.data_mesh())
    assert found.spec == spec
    assert math.prod(found.shard_shape(shape)) * pieces == math.prod(shape)
    array = jax.device_put(jnp.arange(math.prod(shape)).reshape(shape), found)
    np.testing.assert_array_equal(np.unique([shard.data for shard in array.addressable_shards]), np.arange(array.size))
