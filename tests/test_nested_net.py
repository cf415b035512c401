"""NestedNet: levels of connections, each a part of the next one's, trained together by a pass for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import anytime, build, costs, data, families, sweep
from awn_jax import config as configs
from awn_jax.layers import MaskedConv, MaskedDense
from awn_jax.training import sequential, split
from awn_jax.widths import Axis

SIZE, AT = (16, 16, 1), (0.3, 0.5, 1.0)


@pytest.fixture(scope="module")
def made():
    values = configs.apply(configs.default("lenet_3c1l"), "nested_net")
    values.model.channels = 4
    values.widths.fixed = AT
    config = configs.parse(values)
    return config, build.network(config, SIZE, 10)


def masks(layer):
    """Where the weights of each level are."""
    return [layer.at_width(width)["kernel"] != 0 for width in AT]


def test_a_level_has_its_share_of_the_connections_the_largest_first(made):
    _, model = made
    for layer in (model.conv1, model.conv2, model.conv3):
        kernel, found = np.abs(np.asarray(layer.kernel[...])), masks(layer)
        for mask, wider in zip(found, [*found[1:], np.ones(kernel.shape, bool)], strict=True):
            assert (wider | ~mask).all()
        assert [mask.sum() for mask in found] == [round(width * kernel.size) for width in AT]
        assert kernel[found[0]].min() >= kernel[~found[0]].max()


def test_all_channels_are_there_and_the_weights_that_exist_are_counted(made):
    _, model = made
    found = costs(model, SIZE, AT)
    sizes = [layer.kernel.size for layer in (model.conv1, model.conv2, model.conv3)]
    others = 2 * 3 * 4 + 4 * 10 + 10
    assert found.params.tolist() == [sum(round(width * size) for size in sizes) + others for width in AT]
    # Between two levels, a width has those of the next one.
    assert costs(model, SIZE, [0.4]).params[0] == found.params[1]


def test_a_narrow_level_learns_from_the_widest_and_moves_no_weight_of_another(made, digits):
    config, model = made
    graphdef, params, rest = split(model)
    images = jnp.asarray(digits.images[:8, 6:22, 6:22], jnp.float32) / 255
    labels, plan = jnp.asarray(digits.labels[:8]), build.width_plan(config, model)
    assert (plan.widths, plan.distillation) == (AT, 0.5)
    step = jax.jit(lambda *state: sequential(graphdef, *state, images, labels, plan, jax.random.key(0)))
    together = step(params, rest)
    assert np.isfinite(together.loss)
    assert (together.losses > 0).all()
    assert all((leaf[...] != 0).any() for leaf in jax.tree.leaves(together.gradient))

    def narrow(params):
        return jnp.sum(nnx.merge(graphdef, params, rest, copy=True)(images, 0.3) ** 2)

    slopes = jax.jit(jax.grad(narrow))(params)
    for name in ("conv1", "conv2", "conv3"):
        moved = np.asarray(slopes[name]["kernel"][...]) != 0
        there = masks(getattr(model, name))[0]
        assert not (moved & ~there).any()
        assert moved[there].mean() > 0.3
    # The private norms of the other levels are left alone.
    assert not np.any(slopes["norm1"]["norms"][1]["scale"][...])


def test_levels_are_swept_one_by_one_and_cannot_be_climbed(made, digits):
    _, model = made
    small = data.ImageSet(digits.images[:20, 6:22, 6:22], digits.labels[:20], 10)
    found = sweep(model, small, data.Preparation((0.3,), (0.3,)), data.data_mesh(), progress=False)
    assert [row.width for row in found.rows] == pytest.approx([0.25, 0.4, 1.0])
    with pytest.raises(TypeError, match="needs narrow networks that are prefixes of wide ones: conv1"):
        anytime.start(model, jnp.zeros((1, *SIZE)), 0.3)


def test_levels_that_make_no_sense_are_refused():
    whole = Axis.whole(4)
    with pytest.raises(ValueError, match=r"levels must be different widths of which the widest is 1, got \(0.5, 0.7\)"):
        MaskedConv(whole, whole, 3, at=(0.5, 0.7), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="axes of MaskedDense must be whole"):
        MaskedDense(Axis.of(4), whole, at=(0.5, 1), rngs=nnx.Rngs(0))
    with pytest.raises(
        configs.ConfigError, match=r"widths\.fixed hold 1 where model\.family is 'nested_net', got 'all'"
    ):
        configs.parse({"model": {"name": "resnet", "family": "nested_net"}, "widths": {"how": "sequential"}})
    assert families.make("nested_net", fixed=(1, 0.5)).trained == (0.5, 1)
