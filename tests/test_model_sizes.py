"""Networks have the sizes of their publications, counted there by running the published definitions."""

import jax
import numpy as np
import pytest
from flax import nnx

from awn_jax import costs, families, models
from awn_jax.layers import BatchNorm
from awn_jax.models.__main__ import LISTED, row

IMAGENET, CIFAR = (224, 224, 3), (32, 32, 3)
MOBILE = (0.25, 0.5, 0.75, 1.0)

# Name, widths, multiply-accumulates at each, parameters of convolutions and dense layer, and with private batch norms.
SLIMMABLE = [
    ("mobilenet_v1", MOBILE, (41_030_272, 149_497_088, 325_400_448, 568_740_352), 4_210_088, 4_264_808),
    ("mobilenet_v2", (0.35, *MOBILE[1:]), (59_285_808, 97_131_840, 209_069_792, 300_774_272), 3_470_760, 3_556_456),
    ("resnet", MOBILE, (278_085_632, 1_052_311_552, 2_322_677_760, 4_089_184_256), 25_503_912, 25_636_712),
    # Of the widest published network, "2×".
    ("shufflenet_v1", (0.25, 0.5, 1.0), (37_549_896, 137_300_832, 523_405_824), 5_401_816, 5_487_496),
]
# Name, images, classes, options, parameters.
ORDINARY = [
    ("mobilenet_v2", CIFAR, 10, {"form": "cifar"}, 2_296_922),
    ("resnet", CIFAR, 10, {"form": "cifar", "depth": 18}, 11_173_962),
    ("resnet", IMAGENET, 1000, {"depth": 34}, 21_797_672),
]


def made(name, image_size, classes, family, **options):
    """The network without numbers in it."""
    return nnx.eval_shape(lambda: models.find(name)(image_size, classes, family=family, rngs=nnx.Rngs(0), **options))


def parameters(module):
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


@pytest.mark.parametrize(("name", "at", "macs", "layers", "total"), SLIMMABLE)
def test_s_nets_have_the_published_sizes(name, at, macs, layers, total):
    model = made(name, IMAGENET, 1000, families.make("s_net", fixed=at))
    assert tuple(costs(model, IMAGENET, at).macs) == macs
    norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, BatchNorm)]
    assert (parameters(model) - sum(map(parameters, norms)), parameters(model)) == (layers, total)


@pytest.mark.parametrize(("name", "image_size", "classes", "options", "total"), ORDINARY)
def test_ordinary_networks_have_the_usual_sizes(name, image_size, classes, options, total):
    model = made(name, image_size, classes, families.make("single"), **options)
    assert parameters(model) == total == costs(model, image_size, [1]).params[0]


def test_an_ordinary_network_of_another_size_is_the_one_of_that_width():
    wide, narrow = (
        costs(made("mobilenet_v2", IMAGENET, 1000, families.make("shared_bn"), multiplier=m), IMAGENET, [width])
        for m, width in ((1.0, 0.35), (0.35, 1.0))
    )
    np.testing.assert_array_equal(wide, narrow)


def test_the_table_of_the_docs_is_what_the_command_prints(repository):
    written = (repository / "docs" / "models.md").read_text()
    assert all(one.title in written for one in LISTED)
    assert row(LISTED[3], 32) in written
