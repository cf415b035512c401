"""Every network of the library, small, goes through all that the library does with a network.

A new network is tested by a line in SMALL; a new thing that the library does with networks by a function here that takes
`every_model`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import anytime, build, check_prefix, costs, data, export, families, hardware, models, tasks
from awn_jax import config as configs
from awn_jax.export.read import network as read_back
from awn_jax.layers import SwitchableBatchNorm
from awn_jax.network import axes, read
from awn_jax.profile import CompiledWidths
from awn_jax.training import calibration, nested, plan, sequential, split
from awn_jax.widths import last_of

CLASSES, BATCH = 5, 4
# No width that an S-Net here has batch norms for.
NARROW = 0.4
# Programs that run once: compiling them is what takes time.
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hardware, "compiler_options", lambda: QUICK)


class OfTheMean(tasks.Classification):
    """Classification, by the mean over pixels where a network answers for each of them."""

    def losses(self, outputs, targets):
        return super().losses(outputs.reshape(*outputs.shape[:2], -1, CLASSES).mean(2), targets)


class Small(NamedTuple):
    """A network of few and narrow blocks: each kind of block that it has, once.

    Attributes:
        name: of `models.MODELS`.
        image_size: height, width and planes.
        options: of the triangular one.
        ordinary: further ones of the others, whose channels are rounded to more.
    """

    name: str
    image_size: tuple[int, int, int]
    options: dict[str, Any]
    ordinary: dict[str, Any]

    def make(self, family: str = "triangular", fill: bool = True, **options: Any) -> Any:
        """The network with random weights and statistics, drawn at once: initial ones are drawn shape by shape."""
        own = self.options | (self.ordinary if family != "triangular" else {"grid": 4}) | options
        kind = models.find(self.name)

        def make(**made: Any) -> Any:
            return kind(self.image_size, CLASSES, family=families.make(family, **made), rngs=nnx.Rngs(0), **own)

        bare = nnx.eval_shape(make)
        if family == "s_net":
            bare = nnx.eval_shape(functools.partial(make, fixed=(0.5, 1), until=last_of(axes(bare), (0.5, 1))))
        if family == "nested_net":
            bare = nnx.eval_shape(functools.partial(make, fixed=(0.5, 1)))
        return filled(bare) if fill else bare

    def images(self, dtype: Any = jnp.float32) -> jax.Array:
        return jnp.asarray(np.random.default_rng(1).normal(size=(BATCH, *self.image_size)), dtype)


def filled(model: Any) -> Any:
    rng = np.random.default_rng(0)

    def values(path: Any, leaf: Any) -> jax.Array:
        name = [str(getattr(key, "key", "")) for key in path]
        if "kernel" in name:
            fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim != 3 else 9
            drawn = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
        else:
            # Biases and means about 0; scales and variances about 1.
            drawn = rng.uniform(0.5, 1.5, leaf.shape) - ("bias" in name or "mean" in name)
        return jnp.asarray(drawn, leaf.dtype)

    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, jax.tree.map_with_path(values, state))


SMALL = {
    "fpn": Small(
        "fpn",
        (16, 24, 3),
        {"multiplier": 0.15, "blocks": (1, 1, 1, 0, 0, 0, 0), "stride": 4, "channels": 40, "tower": 1},
        {"multiplier": 0.5},
    ),
    "mobilenet_v1": Small(
        "mobilenet_v1", (32, 32, 3), {"multiplier": 0.2, "blocks": (0, 1, 0, 0, 0)}, {"multiplier": 0.5}
    ),
    "mobilenet_v2": Small(
        "mobilenet_v2",
        (8, 9, 1),
        {"multiplier": 0.2, "form": "cifar", "blocks": (1, 1, 0, 0, 0, 0, 0)},
        {"multiplier": 1.0},
    ),
    "resnet18": Small(
        "resnet", (9, 8, 3), {"multiplier": 0.15, "depth": 18, "form": "cifar", "blocks": (1, 1, 0, 0)}, {}
    ),
    "resnet50": Small("resnet", (33, 32, 3), {"multiplier": 0.1, "blocks": (2, 0, 0, 0)}, {}),
    "sliced_resnext": Small(
        "sliced_resnext",
        (8, 9, 3),
        {"multiplier": 1.0, "branches": 4, "trunk": 8, "bottleneck": 2, "blocks": (1, 0, 0)},
        {},
    ),
    "shufflenet": Small("shufflenet_v1", (32, 35, 3), {"multiplier": 0.1, "blocks": (2, 0, 0)}, {}),
    "unet": Small("unet", (8, 12, 1), {"multiplier": 0.1, "levels": 2, "stride": 2}, {}),
}


@pytest.fixture(scope="module", params=SMALL)
def every_model(request) -> Small:
    return SMALL[request.param]


@pytest.fixture(scope="module")
def triangular(every_model) -> Any:
    """The triangular one in inference mode; tests leave it as it is."""
    model = every_model.make()
    model.eval()
    return model


@pytest.fixture(scope="module")
def answers(every_model, triangular) -> Callable[[float], jax.Array]:
    """What it answers at a width, on its own images."""
    return functools.cache(lambda width: outputs(triangular, every_model.images(), width))


@pytest.fixture(scope="module")
def graph(every_model, triangular) -> export.Graph:
    """An ordinary network of its narrow part."""
    return export.lowered(triangular, every_model.image_size, NARROW)


def outputs(model, x, width):
    return compiled(lambda model, x: model(x, width), model, x)


def compiled(function, model, x):
    graphdef, state = nnx.split(model)
    return jax.jit(lambda state, x: function(nnx.merge(graphdef, state), x), compiler_options=QUICK)(state, x)


def run(graph, x):
    return jax.jit(graph.run, compiler_options=QUICK)(x)


def test_triangular_networks_say_and_have_narrow_parts_that_are_prefixes(every_model, triangular):
    assert read(triangular, every_model.image_size).obstacle == ""
    for mode in ("train", "eval"):
        model = nnx.clone(triangular)
        getattr(model, mode)()
        report = check_prefix(model, every_model.images(), [NARROW])
        assert report, str(report)


def test_one_pass_gives_the_outputs_of_every_width(every_model, triangular, answers):
    together = compiled(lambda model, x: model.outputs_at(x, (NARROW, 1)), triangular, every_model.images())
    for found, width in zip(together, (NARROW, 1), strict=True):
        np.testing.assert_allclose(found, answers(width), rtol=1e-4, atol=1e-4)


def test_a_width_is_an_ordinary_network_of_its_own(every_model, graph, answers):
    """Built anew from the weights of that width."""
    np.testing.assert_allclose(answers(NARROW), run(graph, every_model.images()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["s_net", "nested_net"])
def test_a_level_is_an_ordinary_network_of_its_own(every_model, family):
    """For an S-Net, at a width that has no batch norms of its own: those of the next larger one serve it."""
    model, x = every_model.make(family), every_model.images()
    assert not read(model, every_model.image_size).keeps_prefix
    model.eval()
    alone = run(export.lowered(model, every_model.image_size, NARROW), x)
    np.testing.assert_allclose(outputs(model, x, NARROW), alone, rtol=1e-4, atol=1e-4)
    if family == "s_net":
        norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, SwitchableBatchNorm)]
        assert len(norms) >= 3
        for width, number in ((0.3, 0), (0.5, 0), (0.9, 1), (1.0, 1)):
            assert {norm.position(width) for norm in norms} == {number}


def test_costs_are_those_of_the_weights_that_exist(every_model):
    model, at = every_model.make(), (0.25, 0.5, 1.0)
    found = costs(model, every_model.image_size, at)
    for number, width in enumerate(at):
        params, macs = 0, 0
        network = read(model, every_model.image_size, width)
        for node in network.nodes:
            kind, arrays, _ = node.op.ordinary(width, *map(network.shape, node.inputs))
            params += sum(np.count_nonzero(array) for name, array in arrays.items() if name != "bias")
            params += arrays["bias"].size if kind in ("affine", "dense", "head") else 0
            macs += np.count_nonzero(arrays["kernel"]) * int(np.prod(node.shape[:-1])) if "kernel" in arrays else 0
        assert (found.params[number], found.macs[number]) == (params, macs)


def test_one_pass_learns_what_a_pass_for_each_width_does(every_model, float64):
    model = every_model.make(dtype="float64")
    graphdef, params, rest = split(model)
    x, labels = every_model.images(jnp.float64), jnp.arange(BATCH) % CLASSES

    def learn(objective):
        def step(params, rest, x, labels):
            return objective(graphdef, params, rest, x, labels, plan.fixed((0.5, 1)), jax.random.key(0), OfTheMean())

        return jax.jit(step, compiler_options=QUICK)(params, rest, x, labels)

    one, other = learn(nested), learn(sequential)
    assert np.isfinite(one.loss)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("family", "width"), [("shared_bn", 0.7), ("single", 1.0)])
def test_families_without_norms_of_their_own_run_at_their_widths(every_model, family, width):
    model = every_model.make(family, fill=False)
    assert not read(model, every_model.image_size).keeps_prefix
    like = jax.ShapeDtypeStruct((BATCH, *every_model.image_size), jnp.float32)
    result = nnx.eval_shape(lambda model, x: model(x, width), model, like)
    assert (result.shape[0], result.shape[-1]) == (BATCH, CLASSES)


def test_us_net_is_calibrated_in_one_pass_for_each_width(every_model):
    """Of a single batch, the moments are the statistics: inference gives what training gives."""
    model, x = every_model.make("us_net"), every_model.images()
    assert not read(model, every_model.image_size).keeps_prefix
    images = data.ImageSet(np.asarray(x), np.zeros(BATCH, np.int32), CLASSES)
    preparation = data.Preparation((0.0,) * x.shape[-1], (1.0,) * x.shape[-1])
    one = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), data.data_mesh().axis_names)
    calibration.calibrate(model, images, preparation, one, (0.5, 1.0), exact=False, batch_size=BATCH, progress=False)
    assert calibration.calibrated(model)
    expected = outputs(model, x, 0.5)
    model.train()
    np.testing.assert_allclose(expected, outputs(model, x, 0.5), rtol=1e-3, atol=1e-3)


def test_widening_gives_what_a_direct_run_gives_for_the_work_of_one_pass(every_model, triangular, answers):
    _, state = anytime.start(triangular, every_model.images(), NARROW)
    found, state = anytime.widen(state, 1)
    np.testing.assert_allclose(found, answers(1), rtol=1e-4, atol=1e-4)
    assert state.macs == costs(triangular, every_model.image_size, [1]).macs[0]


def test_a_width_is_profiled(every_model, triangular, answers):
    compiled = CompiledWidths(triangular, [NARROW], every_model.image_size, [BATCH], progress=False)
    np.testing.assert_allclose(compiled(every_model.images(), NARROW), answers(NARROW), rtol=1e-4, atol=1e-4)
    assert compiled.activation_bytes(NARROW, BATCH) > 0


@jax.numpy_dtype_promotion("standard")  # Flax's mean of a window
def test_other_programs_answer_the_same(every_model, triangular, graph, answers, tmp_path):
    x = np.asarray(every_model.images())
    for to, write in (("onnx", export.onnx.save), ("flax", export.flax.save), ("stablehlo", export.stablehlo.save)):
        path = tmp_path / f"network.{'py' if to == 'flax' else to}"
        write(graph, path)
        np.testing.assert_allclose(read_back(path, to)(x), answers(NARROW), rtol=1e-4, atol=1e-4)
    export.bundle.save([graph, export.lowered(triangular, every_model.image_size, 1)], tmp_path / "bundle.safetensors")
    loaded = export.bundle.load(tmp_path / "bundle.safetensors", NARROW)
    for ours, theirs in zip(graph.steps, loaded.steps, strict=True):
        assert (ours.kind, ours.inputs) == (theirs.kind, theirs.inputs)
        for name, array in ours.arrays.items():
            np.testing.assert_array_equal(theirs.arrays[name], array)


@pytest.mark.parametrize(
    ("name", "image_size", "family", "options", "message"),
    [
        ("mobilenet_v1", (31, 40, 3), "triangular", {}, "at least 32 × 32 pixels for MobileNetV1, got 31 × 40"),
        ("mobilenet_v2", (16, 16, 3), "s_net", {}, "at least 32 × 32 pixels for MobileNetV2, got 16 × 16"),
        ("mobilenet_v2", (8, 7, 3), "single", {"form": "cifar"}, "at least 8 × 8 pixels for MobileNetV2, got 8 × 7"),
        ("resnet", (8, 7, 3), "triangular", {"form": "cifar"}, "at least 8 × 8 pixels for ResNet, got 8 × 7"),
        ("shufflenet_v1", (28, 28, 1), "us_net", {}, "at least 32 × 32 pixels for ShuffleNetV1, got 28 × 28"),
        ("unet", (64, 48, 3), "triangular", {"stride": 2}, "multiples of the coarsest stride 32 for UNet, got 64 × 48"),
        ("unet", (64, 64, 3), "triangular", {"stride": 3}, "stride must be 1, 2 or 4, got 3"),
        ("unet", (64, 64, 3), "triangular", {"levels": 0}, "levels must be at least 1, got 0"),
        ("fpn", (64, 48, 3), "triangular", {}, "multiples of the coarsest stride 32 for FPN, got 64 × 48"),
        ("fpn", (64, 64, 3), "s_net", {"stride": 2}, "stride must be one of 4, 8, 16, 32 of the backbone, got 2"),
        ("fpn", (64, 64, 3), "single", {"tower": 0}, "tower must be at least 1, got 0"),
        ("resnet", (32, 32, 3), "us_net", {"core": 0.25}, "core 0 for a network of family 'us_net', .* got 1 and 0.25"),
        ("shufflenet_v1", (32, 32, 3), "triangular", {"group": 8}, "group must be 1 or a multiple of 3, got 8"),
        ("resnet", (32, 32, 3), "triangular", {"blocks": (1, 1)}, r"blocks must be 4 numbers.*, got \(1, 1\)"),
    ],
)
def test_what_a_network_cannot_take_is_refused(name, image_size, family, options, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(
            lambda: models.find(name)(image_size, CLASSES, family=families.make(family), rngs=nnx.Rngs(0), **options)
        )


def test_births_that_leave_one_sub_network_are_refused():
    config = configs.parse({"model": {"name": "mobilenet_v1", "grid": 1}})
    model = SMALL["mobilenet_v1"].make(fill=False, grid=1)
    with pytest.raises(configs.ConfigError, match=r"leave a second sub-network in \[0.25, 1\], got 'all'"):
        build.width_plan(config, model)
    # More moments than the narrowest layer has channels are fine: it has fewer births.
    assert len(models.distinct_widths(SMALL["mobilenet_v1"].make(fill=False, grid=64))) > 8


@pytest.mark.parametrize(
    ("options", "strides"),
    [({"name": "mobilenet_v2"}, (2, 4, 8, 16, 32)), ({"name": "resnet", "depth": 18}, (4, 8, 16, 32))],
    ids=["mobilenet_v2", "resnet18"],
)
def test_a_backbone_gives_its_last_features_of_every_stride(options, strides):
    kind, more = models.find(options["name"]), {key: value for key, value in options.items() if key != "name"}
    model = nnx.eval_shape(lambda: kind((64, 96, 3), CLASSES, rngs=nnx.Rngs(0), **more))
    assert model.strides == strides
    like = jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
    for width in (0.5, 1):
        found = nnx.eval_shape(lambda model, x, width=width: model.levels(x, width), model, like)
        shapes = [(1, 64 // n, 96 // n, axis.active(width)) for n, axis in zip(strides, model.level_axes, strict=True)]
        assert [level.shape for level in found] == shapes
