"""At width k every layer gives the first channels of what it gives at full width."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import (
    AnyWidthHead,
    Axis,
    BatchNorm,
    Concatenate,
    DepthwiseConv,
    GroupedConv,
    PixelHead,
    TriConv,
    TriDense,
    max_pool,
    mean_pool,
    upsample,
    widths,
)
from awn_jax.layers import ChannelShuffle, dropout

WIDTHS = (0.1, 0.25, 0.5, 0.8, 1.0)


def inputs(axis, *, shape=(4, 7, 6), seed=0):
    return jax.random.normal(jax.random.key(seed), (*shape, axis.channels))


LAYERS = {
    "conv": lambda rngs: (TriConv(24, 36, 3, use_bias=True, rngs=rngs), (4, 7, 6)),
    "strided conv": lambda rngs: (TriConv(24, 15, 3, strides=2, padding="VALID", rngs=rngs), (4, 7, 6)),
    "grouped conv": lambda rngs: (TriConv(Axis.of(24, 4), Axis.of(40, 8), (1, 3), rngs=rngs), (4, 7, 6)),
    "expanding conv": lambda rngs: (TriConv(24, Axis.of(24).expand(6), 1, rngs=rngs), (4, 7, 6)),
    "dilated conv": lambda rngs: (TriConv(24, 15, 3, kernel_dilation=(1, 2), padding=2, rngs=rngs), (4, 7, 6)),
    "dense": lambda rngs: (TriDense(24, 33, rngs=rngs), (5,)),
}
# Those that act on each channel, or each group, by itself.
SEPARATE = {
    "depthwise conv": lambda rngs: (DepthwiseConv(24, 3, strides=2, use_bias=True, rngs=rngs), (4, 7, 6)),
    "conv in groups": lambda rngs: (GroupedConv(24, 36, 3, groups=3, use_bias=True, rngs=rngs), (4, 7, 6)),
    "shuffle": lambda rngs: (ChannelShuffle(24, 3), (2, 2, 2)),
}


@pytest.mark.parametrize("name", [*LAYERS, *SEPARATE])
def test_a_layer_keeps_the_prefix_and_a_wider_width_adds_the_rest(name):
    layer, shape = (LAYERS | SEPARATE)[name](nnx.Rngs(0))
    reads = getattr(layer, "inputs", None) or layer.axis
    x = inputs(reads, shape=shape)
    pairs = [(width, after, layer.births().active(after)) for width, after in itertools.pairwise((1.0, 0.5, 0.25))]

    @nnx.jit
    def run(layer, x):
        found = []
        for width, after, old in pairs:
            narrow = layer(x[..., : reads.active(width)], width)
            first = 0 if layer.reads_whole else reads.active(after)
            new = old < narrow.shape[-1]
            added = layer.added(x[..., first : reads.active(width)], width=width, after=after) if new else None
            found.append((narrow, added))
        return layer(x), found

    wide, found = run(layer, x)
    for (width, _, old), (narrow, added) in zip(pairs, found, strict=True):
        assert narrow.shape[-1] == layer.births().active(width)
        np.testing.assert_allclose(narrow, wide[..., : narrow.shape[-1]], rtol=2e-5, atol=2e-6)
        if added is not None:
            np.testing.assert_allclose(added, narrow[..., old:], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda **o: TriConv(Axis.whole(6), 8, 3, padding=1, strides=2, **o), {"padding": 1, "strides": 2}),
        (
            lambda **o: TriConv(Axis.whole(6), 8, (3, 2), kernel_dilation=2, **o),
            {"kernel_size": (3, 2), "kernel_dilation": 2},
        ),
        (
            lambda **o: TriConv(Axis.whole(6), 8, 3, padding=((0, 2), (1, 0)), **o),
            {"padding": ((0, 2), (1, 0))},
        ),
        (lambda **o: DepthwiseConv(6, 3, strides=(2, 1), **o), {"out": 6, "groups": 6, "strides": (2, 1)}),
        (
            lambda **o: DepthwiseConv(6, (5, 3), padding="VALID", **o),
            {"out": 6, "groups": 6, "padding": "VALID", "kernel_size": (5, 3)},
        ),
        (
            lambda **o: DepthwiseConv(6, (2, 3), strides=(3, 2), padding=((3, 0), (1, 4)), **o),
            {"out": 6, "groups": 6, "padding": ((3, 0), (1, 4)), "kernel_size": (2, 3), "strides": (3, 2)},
        ),
    ],
)
def test_windows_and_their_gradients_are_as_in_flax(ours, theirs):
    """Where every weight exists, with the arguments that Flax has."""
    layer = ours(use_bias=True, rngs=nnx.Rngs(0))
    out, groups = theirs.pop("out", 8), theirs.pop("groups", 1)
    flax = nnx.Conv(6, out, **{"kernel_size": (3, 3), **theirs}, feature_group_count=groups, rngs=nnx.Rngs(0))
    kernel = layer.kernel[...]
    flax.kernel[...] = kernel[:, :, None] if groups > 1 else kernel
    flax.bias[...] = layer.bias[...]
    x = inputs(Axis.whole(6), shape=(3, 9, 8))

    def squared(one, x):
        y = one(x)
        return jnp.sum(y**2), y

    learn = nnx.jit(nnx.value_and_grad(squared, argnums=(0, 1), has_aux=True))
    ((_, y), (to_layer, to_x)), ((_, expected), (to_flax, as_flax)) = learn(layer, x), learn(flax, x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_x, as_flax, rtol=1e-4, atol=1e-4)
    to_kernel = to_layer["kernel"][:, :, None] if groups > 1 else to_layer["kernel"][...]
    np.testing.assert_allclose(to_kernel, to_flax["kernel"], rtol=1e-4, atol=1e-3)
    ordinary = layer.ordinary(1, (9, 8, 6))
    assert ordinary.kind == ("depthwise" if groups > 1 else "conv")


def test_groups_do_not_read_each_other():
    layer = GroupedConv(12, 12, 1, groups=3, rngs=nnx.Rngs(0))
    jacobian = jax.jacobian(lambda x: layer(x[None, None, None])[0, 0, 0])(jnp.ones(12))
    group = np.arange(12) % 3
    assert not np.any(np.where(group[:, None] == group, 0, jacobian))
    axis = layer.outputs
    exists = (group[:, None] == group) & widths.mask(axis, axis).T
    assert np.all(np.where(exists, jacobian, 1))
    dense = layer.ordinary(1, (1, 1, 12)).arrays["kernel"][0, 0]
    np.testing.assert_allclose(jacobian, dense.T, rtol=1e-5)
    with pytest.raises(ValueError, match="inputs must be born 3 at a time, one for each of groups=3"):
        GroupedConv(Axis.of(12), 12, 1, groups=3, rngs=nnx.Rngs(0))


def test_a_shuffle_hands_every_group_its_share_of_every_other_at_every_width():
    groups, shuffle = 3, ChannelShuffle(30, 3)
    for width in WIDTHS:
        order = shuffle.order(width)
        share = len(order) / groups**2
        pairs = np.zeros((groups, groups))
        np.add.at(pairs, (order % groups, np.arange(len(order)) % groups), 1)
        assert np.all(np.abs(pairs - share) < 1)
    x = inputs(shuffle.axis, shape=(2, 2))
    to_x = jax.grad(lambda x: jnp.sum(shuffle(x) @ jnp.arange(30.0)))(x)
    np.testing.assert_array_equal(to_x[..., shuffle.order(1)], jnp.broadcast_to(jnp.arange(30.0), x.shape))
    with pytest.raises(ValueError, match="axis must be born 3 at a time"):
        ChannelShuffle(Axis.of(30), 3)


def test_a_concatenation_sorts_channels_by_birth():
    axes = [Axis.of(4), Axis.of(7), Axis.whole(2)]
    join = Concatenate(axes)
    values = [inputs(axis, shape=(2, 3, 3), seed=i) for i, axis in enumerate(axes)]
    wide = join(values)
    births = [axis.birth(c) for axis in axes for c in range(axis.channels)]
    assert [join.axis.birth(c) for c in range(13)] == sorted(births)
    for after, width in itertools.pairwise(WIDTHS):
        active = [axis.active(width) for axis in axes]
        narrow = join([x[..., :k] for x, k in zip(values, active, strict=True)], width)
        assert narrow.shape[-1] == sum(active) == join.axis.active(width)
        np.testing.assert_array_equal(narrow, wide[..., : narrow.shape[-1]])
        new = [x[..., axis.active(after) : k] for x, axis, k in zip(values, axes, active, strict=True)]
        np.testing.assert_array_equal(
            join.added(*new, width=width, after=after), narrow[..., join.axis.active(after) :]
        )
    with pytest.raises(ValueError, match="inputs must be 3 values, got 2"):
        join(values[:2])


@pytest.mark.parametrize("pool", [max_pool, mean_pool])
def test_pools_with_strides_and_padding_are_flaxs(pool):
    x = inputs(Axis.of(3), shape=(2, 9, 8))
    theirs = nnx.max_pool if pool is max_pool else nnx.avg_pool
    for options in (
        {},
        {"strides": 1},
        {"padding": 1},
        {"padding": "SAME", "strides": 2},
        {"padding": ((0, 1), (2, 0))},
    ):
        padding = options.get("padding", "VALID")
        padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding
        strides = (options.get("strides", 3),) * 2
        with jax.numpy_dtype_promotion("standard"):  # which Flax's own mean needs
            expected = theirs(x, (3, 3), strides, padding)
        np.testing.assert_allclose(pool(x, 3, **options), expected, rtol=1e-5, atol=1e-6)
    for options, message in (
        ({"window": 10}, r"x, of \(9, 8\) pixels, is smaller than the window"),
        ({"window": 2, "padding": 2}, "padding must be smaller than the window"),
        ({"window": 0}, "window must be one or two whole numbers of at least 1, got 0"),
        ({"window": 2, "padding": ((-1, 0), (0, 0))}, 'padding must be "SAME", "VALID", a number of pixels'),
    ):
        with pytest.raises(ValueError, match=message):
            pool(x, **options)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_past_the_staircase_are_zero_and_get_no_gradient(name):
    layer, shape = LAYERS[name](nnx.Rngs(0))
    exists = widths.mask(layer.inputs, layer.outputs)
    x = inputs(layer.inputs, shape=shape)
    gradient = nnx.jit(nnx.grad(lambda layer, x: jnp.square(layer(x)).sum()))(layer, x)
    assert not np.any(np.where(exists, 0, layer.kernel[...]))
    assert not np.any(np.where(exists, 0, gradient.kernel[...]))
    assert np.all(np.where(exists, gradient.kernel[...], 1))


def test_initial_scale_counts_all_or_the_visible_inputs():
    axis = Axis.of(64)
    for fan_in, counted in (("full", np.full(64, 64)), ("visible", np.arange(1, 65))):
        kernel = np.abs(TriConv(axis, axis, 5, fan_in=fan_in, rngs=nnx.Rngs(0)).kernel[...])
        bound = 1 / np.sqrt(25 * counted)
        assert np.all(kernel <= bound + 1e-7)
        assert np.all(kernel.max((0, 1, 2)) > 0.7 * bound)
    with pytest.raises(ValueError, match="fan_in must be 'full' or 'visible', got 'some'"):
        TriConv(8, 8, 3, fan_in="some", rngs=nnx.Rngs(0))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_batch_norm_keeps_the_prefix(training, width):
    axis = Axis.of(20)
    x = 3 + 2 * inputs(axis)
    wide, narrow = BatchNorm(axis), BatchNorm(axis)
    for layer in (wide, narrow):
        layer.scale[...], layer.bias[...] = jnp.arange(20.0), -jnp.arange(20.0)
        layer.mean[...], layer.var[...] = jnp.arange(20.0) / 5, jnp.arange(1, 21.0)
        layer.train() if training else layer.eval()
    active = axis.active(width)
    np.testing.assert_allclose(narrow(x[..., :active], width), wide(x)[..., :active], rtol=1e-5, atol=1e-5)
    for name in ("mean", "var"):
        moved, full = getattr(narrow, name)[...], getattr(wide, name)[...]
        np.testing.assert_allclose(moved[:active], full[:active], rtol=1e-5)
        if active < 20:
            unmoved = jnp.arange(20.0) / 5 if name == "mean" else jnp.arange(1, 21.0)
            np.testing.assert_array_equal(moved[active:], unmoved[active:])


def test_batch_norm_statistics_follow_pytorchs_convention():
    x = np.asarray(5 + 3 * inputs(Axis.of(4)), np.float64).astype(np.float32)
    layer = BatchNorm(4, momentum=0.1)
    y = layer(jnp.asarray(x))
    np.testing.assert_allclose(y.mean((0, 1, 2)), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), np.ones(4), rtol=1e-4)
    np.testing.assert_allclose(layer.mean[...], 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.var[...], 0.9 + 0.1 * x.var((0, 1, 2), ddof=1), rtol=1e-5)


@pytest.mark.parametrize(
    "head",
    [AnyWidthHead(20, 6, 10, rngs=nnx.Rngs(0)), PixelHead(20, 3, rngs=nnx.Rngs(0))],
    ids=lambda head: type(head).__name__,
)
def test_head_gives_all_widths_in_one_pass(head):
    x = inputs(head.inputs, shape=(4, 2, 3))
    at = (0.1, 0.12, 0.5, 0.9)
    together = head.at_widths(x[..., :18], at)
    counts = head.inputs.active_at(at)
    for outputs, width, count in zip(together, at, counts, strict=True):
        np.testing.assert_allclose(outputs, head(x[..., :count], width), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(head.at_active(x, jnp.asarray(counts)), together, rtol=1e-5, atol=1e-5)
    more = head.added(x[..., counts[0] : counts[2]], width=0.5, after=0.1)
    np.testing.assert_allclose(together[0] + more, together[2], rtol=1e-5, atol=1e-5)


def test_a_pixel_head_answers_for_every_pixel_by_itself():
    head = PixelHead(8, 2, rngs=nnx.Rngs(0))
    head.bias[...] = jnp.array([1.0, -5.0])
    x = inputs(head.inputs, shape=(2, 3, 4))
    y = head(x)
    assert y.shape == (2, 3, 4, 2)
    np.testing.assert_allclose(y[1, 2, 3], x[1, 2, 3] @ head.kernel[...] + jnp.array([1.0, -5.0]), rtol=1e-5, atol=1e-6)
    params, macs = head.costs((3, 4, 2), [0.5, 1])
    assert (params.tolist(), macs.tolist()) == ([4 * 2 + 2, 8 * 2 + 2], [4 * 2 * 12, 8 * 2 * 12])


def test_upsampling_gives_every_pixel_to_a_rectangle_and_its_gradient_is_their_sum():
    x = inputs(Axis.of(3), shape=(2, 4, 5))
    y, back = jax.vjp(lambda x: upsample(x, (2, 3)), x)
    np.testing.assert_array_equal(y, np.repeat(np.repeat(x, 2, 1), 3, 2))
    np.testing.assert_array_equal(back(jnp.ones_like(y))[0], jnp.full_like(x, 6))
    with pytest.raises(ValueError, match="factor must be one or two whole numbers of at least 1, got 0"):
        upsample(x, 0)


@pytest.mark.parametrize("at", [(), (0.5, 0.25), (0.5, 0.5)])
def test_head_refuses_widths_that_do_not_ascend(at):
    head = AnyWidthHead(20, 6, 10, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="widths must be ascending and not empty"):
        head.at_widths(jnp.ones((4, 2, 3, 20)), at)


@pytest.mark.parametrize(
    "layer",
    [
        TriConv(8, 8, 3, rngs=nnx.Rngs(0)),
        TriDense(8, 8, rngs=nnx.Rngs(0)),
        BatchNorm(8),
        AnyWidthHead(8, 9, 2, rngs=nnx.Rngs(0)),
        PixelHead(8, 2, rngs=nnx.Rngs(0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_wrong_number_of_channels_is_named(layer):
    with pytest.raises(ValueError, match=r"x must have 4 channels at width=0.5, got shape \(2, 3, 3, 8\)"):
        layer(jnp.ones((2, 3, 3, 8)), 0.5)
    with pytest.raises(ValueError, match=r"width must be in \(0, 1\], got 1.5"):
        layer(jnp.ones((2, 3, 3, 8)), 1.5)


def test_max_pool_is_the_maximum_of_each_square_and_drops_what_is_left_over():
    x = inputs(Axis.of(3), shape=(2, 5, 4))
    expected = np.stack([np.asarray(x)[:, i : i + 4 : 2, j::2] for i in (0, 1) for j in (0, 1)])
    np.testing.assert_array_equal(max_pool(x), expected[:, :, :2].max(0))


def test_dropout_misses_its_share_and_keeps_the_mean_and_the_prefix():
    key, x = jax.random.key(0), jnp.ones((64, 16, 16, 9))
    dropped = dropout(key, x, 0.3, 9)
    np.testing.assert_allclose((dropped == 0).mean((0, 1, 2)), 0.3, atol=0.02)
    np.testing.assert_allclose(dropped.mean((0, 1, 2)), 1, atol=0.03)
    np.testing.assert_array_equal(dropout(key, x[..., :4], 0.3, 9), dropped[..., :4])
    fewer = dropout(key, x, 0.1, 9) == 0
    assert fewer.any()
    assert not np.any(fewer & (dropped != 0))
