"""A whole network at width k is the slice of the full one, in training and in inference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import Axis, BatchNorm, LeNet3C1L, TriConv, check_prefix, cost
from awn_jax.models import distinct_widths


def lenet(**options):
    return LeNet3C1L((28, 28, 1), 10, rngs=nnx.Rngs(0), **options)


def images(digits, count=16):
    return jnp.asarray(digits.images[:count], jnp.float32) / 255


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"channels": 32, "group": 8}, {"core": 0.3}, {"channels": 7, "implementation": "reference"}]
)
def test_one_pass_gives_the_logits_of_every_width(digits, training, options):
    model = lenet(**options)
    model.train() if training else model.eval()
    x, at = images(digits), distinct_widths(model)
    together = nnx.jit(lambda model: model.logits_at(x, at))(nnx.clone(model))
    for index in sorted({0, len(at) // 3, len(at) - 1}):
        alone = nnx.jit(lambda model, width=at[index]: model(x, width))(nnx.clone(model))
        np.testing.assert_allclose(together[index], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_every_layer_keeps_the_prefix_on_real_images(digits, training):
    model = lenet()
    model.train() if training else model.eval()
    before = jax.tree.map(jnp.copy, nnx.state(model))
    report = check_prefix(model, images(digits))
    assert report, str(report)
    assert len(report.widths) == 5
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))


class Mixing(LeNet3C1L):
    """Broken on purpose: a layer norm looks at all channels."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.mixer = nnx.LayerNorm(45, use_bias=False, use_scale=False, rngs=nnx.Rngs(0))

    def features(self, x, width=1):
        x = self.mixer(self.norm1(self.conv1(x, width), width))
        x = nnx.relu(self.norm2(self.conv2(x, width), width))[:, ::2, ::2]
        return nnx.relu(self.norm3(self.conv3(x, width), width))[:, ::2, ::2]


def test_the_first_layer_that_breaks_the_prefix_is_named(digits):
    report = check_prefix(Mixing((28, 28, 1), 10, rngs=nnx.Rngs(0)), images(digits))
    assert not report
    assert (report.layer, report.kind) == ("mixer", "LayerNorm")
    assert "mixer (LayerNorm) breaks the prefix property" in str(report)


def test_check_prefix_needs_a_width_below_one(digits):
    with pytest.raises(ValueError, match="widths to compare must be below 1"):
        check_prefix(lenet(), images(digits), [0.5, 1.0])


def test_the_compiled_program_holds_only_the_active_part():
    model = lenet()
    model.eval()
    x = jax.ShapeDtypeStruct((8, 28, 28, 1), jnp.float32)

    def flops(width):
        return jax.jit(lambda x: model(x, width)).lower(x).compile().cost_analysis()["flops"]

    # The dense count of the sliced convolutions; a mask over the full network would give 1.
    assert flops(0.25) < 0.12 * flops(1.0)


def test_cost_counts_the_weights_that_exist():
    model = lenet(channels=8)
    for width in (0.25, 0.6, 1.0):
        k = Axis.of(8).active(width)
        triangle = k * (k + 1) // 2
        macs = 26 * 26 * 9 * k + 24 * 24 * 9 * triangle + 8 * 8 * 25 * triangle + 16 * k * 10
        assert cost(model, (28, 28, 1), width) == (9 * k + 34 * triangle + 3 * 2 * k + 16 * k * 10 + 10, macs)


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match=r"made for images of \(28, 28, 1\), got a batch of shape \(2, 32, 32, 1\)"):
        lenet()(jnp.ones((2, 32, 32, 1)))
    with pytest.raises(ValueError, match="at least 16 × 16 pixels"):
        LeNet3C1L((15, 28, 1), 10, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(("size", "classes"), [((32, 32, 3), 10), ((32, 32, 3), 100)])
def test_cifar_shapes(size, classes):
    model = LeNet3C1L(size, classes, rngs=nnx.Rngs(0))
    assert model.logits_at(jnp.ones((2, *size)), (0.25, 1.0)).shape == (2, 2, classes)
    assert model.head.pixels == 25


def test_layers_make_a_network_of_ones_own(digits):
    """The example of docs/your_own.md in small: residual blocks of equal births keep the prefix property."""

    class Block(nnx.Module):
        def __init__(self, axis, rngs):
            self.conv, self.norm = TriConv(axis, axis, 3, rngs=rngs), BatchNorm(axis)

        def __call__(self, x, width=1):
            return x + nnx.relu(self.norm(self.conv(x, width), width))

    class Net(nnx.Module):
        def __init__(self, rngs):
            axis = Axis.of(12)
            self.stem = TriConv(Axis.whole(1), axis, 3, strides=2, rngs=rngs)
            self.blocks = nnx.List([Block(axis, rngs) for _ in range(2)])

        def __call__(self, x, width=1):
            x = self.stem(x, width)
            for block in self.blocks:
                x = block(x, width)
            return x.mean((1, 2))

    report = check_prefix(Net(nnx.Rngs(0)), images(digits))
    assert report, str(report)
