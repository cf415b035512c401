"""The rivals: what a private or recomputed batch norm is worth only if it is exactly what it says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, build, check_prefix, data, families, widths
from awn_jax import config as configs
from awn_jax.config import ConfigError
from awn_jax.layers import CalibratedBatchNorm, SwitchableBatchNorm
from awn_jax.tasks import Classification
from awn_jax.training import calibration, nested, plan, sequential, split

SIZE = (16, 16, 1)
TRAINED = (0.25, 0.5, 1.0)


def batch(digits, count=40):
    return jnp.asarray(digits.images[:count, 6:22, 6:22], jnp.float32) / 255, jnp.asarray(digits.labels[:count])


def config_of(method, **changes):
    values = configs.apply(configs.default("lenet_3c1l"), method)
    values.model.channels = 8
    with values.ignore_type():
        values.update_from_flattened_dict(changes)
    return configs.parse(values)


def network(method, **changes):
    return build.network(config_of(method, **changes), SIZE, 10)


def gradient(objective, parts, images, labels, at):
    """An objective's gradient, compiled as one program."""
    graphdef, params, stats = parts
    return jax.jit(lambda *args: objective(graphdef, *args, at, jax.random.key(0)))(params, stats, images, labels)


@nnx.jit(static_argnums=2)
def logits(model, images, width=1.0):
    return model(images, width)


def shaken(model, seed=0):
    """The model with scales, biases and statistics that differ from channel to channel and from width to width."""
    for path, norm in nnx.iter_modules(model):
        if hasattr(norm, "scale"):
            rng = np.random.default_rng([seed, *map(ord, ".".join(map(str, path)))])
            for values in (norm.scale, norm.bias, norm.mean, norm.var):
                values[...] = jnp.asarray(rng.uniform(0.5, 1.5, values.shape), jnp.float32)
    return model


@pytest.mark.parametrize("training", [True, False])
def test_s_net_at_a_trained_width_is_a_network_of_its_own(digits, training):
    images, _ = batch(digits)
    wide = shaken(network("s_net", **{"widths.fixed": TRAINED}))
    for number, width in enumerate(TRAINED):
        channels = round(8 * width)
        alone = LeNet3C1L(SIZE, 10, channels=channels, family=families.make("single"), rngs=nnx.Rngs(1))
        for name in ("conv1", "conv2", "conv3"):
            one, other = getattr(alone, name), getattr(wide, name)
            one.kernel[...] = other.kernel[:, :, : one.inputs.channels, :channels]
        for name in ("norm1", "norm2", "norm3"):
            private = getattr(wide, name).norms[number]
            for field in ("scale", "bias", "mean", "var"):
                getattr(getattr(alone, name), field)[...] = getattr(private, field)[...]
        alone.head.kernel[...], alone.head.bias[...] = wide.head.kernel[:channels], wide.head.bias[...]
        for model in (alone, wide):
            model.train() if training else model.eval()
        np.testing.assert_allclose(logits(wide, images, width), logits(alone, images), rtol=1e-5, atol=1e-5)


def test_an_untrained_width_uses_the_next_larger_batch_norm_sliced():
    axis = widths.Axis.of(16)
    layer = shaken(nnx.List([SwitchableBatchNorm(axis, TRAINED)]))[0]
    layer.eval()
    x = jax.random.normal(jax.random.key(0), (3, 4, 5, 16))
    for width, number in ((0.1, 0), (0.25, 0), (0.3, 1), (0.5, 1), (0.51, 1), (0.55, 2), (0.9, 2), (1.0, 2)):
        active, private = axis.active(width), layer.norms[number]
        scale, bias, mean, var = (
            np.asarray(getattr(private, name)[...])[:active] for name in ("scale", "bias", "mean", "var")
        )
        expected = (np.asarray(x)[..., :active] - mean) / np.sqrt(var + 1e-5) * scale + bias
        np.testing.assert_allclose(layer(x[..., :active], width), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"at must hold width 1, or it has no batch norm, got \(0.25, 0.5\)"):
        SwitchableBatchNorm(axis, (0.25, 0.5))


def test_trained_widths_with_the_same_channels_in_a_layer_have_batch_norms_of_their_own():
    # MobileNetV2 has 8 channels at .35 and at .5 in its second stage, and other numbers elsewhere.
    at, until = (0.35, 0.5, 1), (0.375, 0.5625, 1)
    axis = widths.Axis.counted([8] * 5 + [16] * 5)
    for layer, numbers in (
        (SwitchableBatchNorm(axis, at), (0, 1, 1)),
        (SwitchableBatchNorm(axis, at, until), (0, 0, 1)),
    ):
        assert [layer.position(width) for width in (0.35, 0.36, 0.5)] == list(numbers)
    with pytest.raises(ValueError, match="until must hold an ascending width for each of"):
        SwitchableBatchNorm(axis, at, (0.5, 0.5, 1))
    with pytest.raises(ConfigError, match=r"widths\.fixed must be different sub-networks of lenet_3c1l"):
        network("s_net", **{"widths.fixed": (0.5, 0.51, 1.0)})


def test_each_pass_of_s_net_moves_its_own_statistics_only(digits):
    images, labels = batch(digits)
    model = network("s_net", **{"widths.fixed": TRAINED})
    graphdef, params, stats = split(model)
    learnt = gradient(sequential, (graphdef, params, stats), images, labels, plan.fixed((0.5,)))
    before, after = (nnx.merge(graphdef, params, s, copy=True).norm2.norms for s in (stats, learnt.rest))
    for number in range(3):
        moved = not np.array_equal(before[number].mean[...], after[number].mean[...])
        assert moved == (number == 1)
        learns = np.any(np.asarray(learnt.gradient["norm2"]["norms"][number]["scale"][...]))
        assert learns == (number == 1)


def test_a_shared_batch_norm_under_ordinary_layers_follows_one_pass_after_the_other(digits):
    images, labels = batch(digits)
    model = network("shared_bn")
    graphdef, params, stats = split(model)
    learnt = gradient(sequential, (graphdef, params, stats), images, labels, plan.fixed((0.25, 0.5, 1.0)))
    by_hand = nnx.merge(graphdef, params, stats, copy=True)
    for width in (1.0, 0.5, 0.25):
        logits(by_hand, images, width)
    for name in ("norm1", "norm2", "norm3"):
        np.testing.assert_allclose(learnt.rest[name].mean[...], getattr(by_hand, name).mean[...], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [16, 7, 1000])
def test_calibration_gives_the_statistics_of_one_pass_over_all_images(digits, batch_size):
    images = data.ImageSet(digits.images[:50, 6:22, 6:22], digits.labels[:50], 10)
    model, preparation = network("us_net"), data.Preparation((0.3,), (0.3,))
    mesh = data.data_mesh()
    x = preparation.normalised(jnp.asarray(images.images))
    assert not calibration.calibrated(model)
    calibration.calibrate(model, images, preparation, mesh, (0.5, 1.0), batch_size=batch_size, progress=False)
    assert calibration.calibrated(model)
    for width in (0.5, 1.0):
        model.train()
        expected = logits(model, x, width)
        model.eval()
        np.testing.assert_allclose(logits(model, x, width), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"calibrated widths must hold 1, got \(0.5,\)"):
        calibration.calibrate(model, images, preparation, mesh, (0.5,), progress=False)


def test_calibration_in_one_pass_a_width_serves_all_layers(digits):
    """One batch: its own statistics are those of all images, so that both forms agree."""
    images = data.ImageSet(digits.images[:48, 6:22, 6:22], digits.labels[:48], 10)
    preparation, mesh, models = data.Preparation((0.3,), (0.3,)), data.data_mesh(), []
    for exact in (True, False):
        models.append(network("us_net"))
        calibration.calibrate(models[-1], images, preparation, mesh, (0.5, 1.0), exact=exact, progress=False)
    for one, other in zip(*map(calibration.norms, models), strict=True):
        np.testing.assert_allclose(one.mean[...], other.mean[...], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.var[...], other.var[...], rtol=1e-4, atol=1e-5)


def test_an_uncalibrated_width_uses_the_next_larger_calibrated_one():
    axis = widths.Axis.of(8)
    # Channels 4 and 5 are born at 9/16 and 11/16: 0.5 and 0.56 give one network.
    until = widths.last_of([axis], (0.5, 1.0))
    layer = CalibratedBatchNorm(axis, until)
    layer.eval()
    for width, mean in ((0.5, 1.0), (1.0, 2.0)):
        layer.calibrate(width, jnp.full(axis.active(width), mean), jnp.ones(axis.active(width)))
    for width, mean in ((0.25, 1.0), (0.5, 1.0), (0.56, 1.0), (0.57, 2.0), (1.0, 2.0)):
        x = jnp.full((1, 2, 2, axis.active(width)), 5.0)
        np.testing.assert_allclose(layer(x, width), 5 - mean, rtol=1e-4)
    with pytest.raises(ValueError, match="until must hold ascending widths up to 1"):
        layer.forget((0.5,))


def test_a_distilled_loss_has_no_gradient_through_the_teacher():
    rng = np.random.default_rng(0)
    logits, teacher = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((3, 6, 10), (6, 10)))

    def loss(logits, teacher):
        return Classification().taught(logits, teacher).mean(-1).sum()

    to_logits, to_teacher = jax.grad(loss, (0, 1))(logits, teacher)
    assert np.all(to_teacher == 0)
    # The gradient of a cross-entropy with soft targets: the difference of the predictions.
    np.testing.assert_allclose(
        to_logits, (jax.nn.softmax(logits) - jax.nn.softmax(teacher)[None]) / 6, rtol=1e-4, atol=1e-6
    )


def test_the_widest_network_learns_from_the_labels_alone(digits):
    images, labels = batch(digits)
    parts = split(network("awn"))
    gradients = [
        gradient(nested, parts, images, labels, plan.fixed((0.5, 1.0), distillation=share)) for share in (0.0, 1.0)
    ]
    one, other = (g.gradient["head"].kernel[...] for g in gradients)
    # The later half of the head is read at full width only.
    np.testing.assert_array_equal(one[4:], other[4:])
    assert np.any(one[:4] != other[:4])


@pytest.mark.parametrize("method", ["awn", "us_net", "s_net", "shared_bn"])
def test_a_method_says_truly_whether_its_narrow_networks_are_prefixes(digits, method):
    images, _ = batch(digits)
    model = network(method)
    model.train()
    assert bool(check_prefix(model, images, [0.5])) == model.nests(SIZE) == (method == "awn")


@pytest.mark.parametrize("method", ["awn", "s_net", "us_net", "single_25"])
def test_cifar_100s_shapes(method):
    config = configs.parse(configs.apply(configs.default("lenet_3c1l"), method))
    model = build.network(config, (32, 32, 3), 100)
    x = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    for width in {config.widths.minimum, 1.0}:
        assert nnx.eval_shape(lambda m, x, width=width: m(x, width), model, x).shape == (2, 100)


def test_no_draw_compiles_the_step_anew(digits):
    images, labels = batch(digits, 8)
    config = config_of("us_net", **{"model.channels": 4})
    model = build.network(config, SIZE, 10)
    graphdef, params, stats = split(model)
    drawn = dataclasses.replace(build.width_plan(config, model), sizes=(0.6, 1.0))
    traced = []

    @jax.jit
    def step(key):
        traced.append(key)
        return sequential(graphdef, params, stats, images, labels, drawn, key).loss

    assert len({float(step(jax.random.key(seed))) for seed in range(6)}) > 1
    assert len(traced) == 1


def test_nested_training_of_an_ordinary_network_is_refused(digits):
    images, labels = batch(digits)
    graphdef, params, stats = split(network("us_net"))
    with pytest.raises(ValueError, match=r"nested training needs .*: conv1 \(Conv\) gives other values at every width"):
        nested(graphdef, params, stats, images, labels, plan.fixed((0.5, 1.0)), jax.random.key(0))


def test_ends_add_to_the_narrowest_and_the_widest():
    weighted = plan.every([widths.Axis.of(45)], 0.25, total=4.0, ends=0.2)
    base = np.array(weighted.weights)
    np.testing.assert_allclose(base.sum(), 4.0)
    np.testing.assert_allclose(base[[0, -1]] - base[1], 0.8)
    assert np.ptp(base[1:-1]) == 0


def test_equal_sizes_of_the_two_families():
    ordinary, triangular = (
        build.network(config_of(m, **{"model.channels": 0}), (28, 28, 1), 10) for m in ("us_net", "awn")
    )
    sizes = [
        sum(int(conv.costs((1, 1), [1]).params[0]) for conv in (m.conv1, m.conv2, m.conv3))
        for m in (ordinary, triangular)
    ]
    assert abs(sizes[0] / sizes[1] - 1) < 0.02
