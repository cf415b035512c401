"""Exported networks: the same answers in every other program, nothing of other widths, nothing wrong without a word."""

import concurrent.futures
import functools
import io
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import AnyWidthClassifier, AnyWidthHead, Axis, TriConv, families, max_pool
from awn_jax.export import ExportError, Graph, Step, bundle, flax, lowered, onnx, ordinary, read, stablehlo
from awn_jax.export.rewrites import simplified
from awn_jax.layers import (
    CalibratedBatchNorm,
    DepthwiseConv,
    Dropout,
    PixelHead,
    TriDense,
    global_mean,
    relu,
    upsample,
)
from awn_jax.network import UnknownLayerError
from tests.random_networks import random_network

pytest.importorskip("onnxruntime")
WIDTHS = (0.45, 1.0)
SIZE = (8, 8, 3)


def save(graphs, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """One width in every format that holds one; all of them in a bundle."""
    places = {"bundle": folder / "net.safetensors"}
    bundle.save(graphs, places["bundle"])
    for to, function, suffix in (
        ("onnx", onnx, ".onnx"),
        ("flax", flax, ".py"),
        ("stablehlo", stablehlo, ".stablehlo"),
    ):
        places[to] = folder / f"net{suffix}"
        function.save(graphs[-1], places[to])
    return places


def check_all(model, size, folder, at=WIDTHS):
    """Every format answers as the network does, to 1e-5 of the largest logit."""
    images = np.random.default_rng(0).normal(size=(3, *size)).astype(np.float32)
    wanted = jax.jit(lambda x: [model(x, width) for width in at])(jnp.asarray(images))
    graphs = [lowered(model, size, width) for width in at]
    for number, (width, answer) in enumerate(zip(at, wanted, strict=True)):
        for to, path in save(graphs[: number + 1], folder).items():
            found = read.network(path, to, width)(images)
            difference = np.abs(found - answer).max() / np.abs(answer).max()
            assert difference < 1e-5, f"{to} at width {width}: {[step.kind for step in graphs[number].steps]}"


@pytest.mark.parametrize("seed", range(7))
def test_a_random_network_answers_the_same_in_every_format(seed, tmp_path):
    check_all(*random_network(seed), tmp_path)


class Small(AnyWidthClassifier):
    """A stem and what a test puts behind it."""

    def __init__(self, features, pixels=1, family=families.TRIANGULAR, **layers):
        axis, rngs = Axis.of(6), nnx.Rngs(0)
        self.stem = family.conv(Axis.whole(3), axis, 3, rngs=rngs)
        self.norm1, self.norm2 = family.norm(axis), family.norm(axis)
        self.conv = family.conv(axis, axis, 3, use_bias=True, rngs=rngs)
        self.head = AnyWidthHead(axis, pixels, 4, rngs=rngs)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._features = features
        draw = np.random.default_rng(0)
        for path, value in nnx.to_flat_state(nnx.state(self)):
            if path[-1] in ("mean", "var", "scale", "bias") and value.dtype == jnp.float32:
                value[...] = jnp.asarray(draw.uniform(0.5, 2, value.shape), jnp.float32)
        self.eval()

    def features(self, x, width=1):
        return self._features(self, x, width)


@jax.jit
def _images():
    return jax.random.normal(jax.random.key(0), (4, *SIZE))


def check_run(model, width=0.5):
    """The graph answers as the network does."""
    graph = lowered(model, SIZE, width)
    wanted, found = jax.jit(lambda x: (model(x, width), graph.run(x)))(_images())
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def pre_activation(net, x, width):
    x = net.norm1(net.stem(x, width), width)
    return max_pool(x + net.conv(nnx.relu(net.norm2(x, width)), width), 4)


def padded(net, x, width):
    return max_pool(net.more(net.stem(x, width), width))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Small(pre_activation, 4),
        lambda: Small(lambda net, x, width: net.stem(x, width).mean((1, 2))),
        lambda: Small(lambda net, x, width: net.stem(x, width).mean((1, 2), keepdims=True)),
        lambda: Small(padded, 4, more=TriConv(6, 6, 3, strides=2, padding=((1, 1), (1, 1)), rngs=nnx.Rngs(1))),
        lambda: Small(padded, 4, more=DepthwiseConv(6, 3, strides=2, padding=((2, 0), (1, 1)), rngs=nnx.Rngs(1))),
    ],
    ids=["a norm read by two", "mean", "mean that keeps axes", "explicit padding", "depthwise"],
)
def test_networks_that_went_wrong_once(make):
    check_run(make())


def step(kind, *inputs, **arrays):
    return Step(kind, inputs, kind, {name: np.asarray(value, float) for name, value in arrays.items()})


def test_a_rewrite_counts_the_readers_that_are_left_by_earlier_ones():
    conv = functools.partial(step, "conv", kernel=np.ones((1, 1, 1, 1)), bias=[1])
    norm = functools.partial(step, "affine", scale=[2], bias=[3])
    # The first norm is the convolution's only reader. Once it is folded, the second one is one of two.
    steps = simplified([conv(0), norm(1), norm(2), step("add", 2, 3)], 4)
    assert [(s.kind, s.inputs) for s in steps] == [("conv", (0,)), ("affine", (1,)), ("add", (1, 2))]
    assert (steps[0].arrays["kernel"].item(), steps[0].arrays["bias"].item()) == (2, 5)
    # The output of the network is a reader too, and so is one behind an identity.
    assert [s.kind for s in simplified([conv(0), norm(1)], 1)] == ["conv"]
    assert [s.kind for s in simplified([conv(0), norm(1), step("add", 1, 2)], 3)] == ["conv", "affine", "add"]
    behind = [conv(0), step("identity", 1), norm(1), step("add", 2, 3)]
    assert [(s.kind, s.inputs) for s in simplified(behind, 4)][1:] == [("affine", (1,)), ("add", (1, 2))]
    # What is read only by what nothing reads goes with it, and its reader no longer counts.
    unread = [conv(0), norm(1), step("activation", 1), step("activation", 3)]
    assert [s.kind for s in simplified(unread, 2)] == ["conv"]


def test_a_layer_that_is_called_twice_has_two_names(tmp_path):
    def twice(net, x, width):
        x = net.norm1(net.stem(x, width), width)
        return global_mean(net.norm2(net.conv(relu(net.conv(x, width)), width), width))

    check_all(Small(twice), SIZE, tmp_path, at=(0.5,))


def test_a_pyramid_whose_every_pixel_is_answered_for(tmp_path):
    def pyramid(net, x, width):
        fine = net.norm1(net.stem(x, width), width)
        coarse = relu(net.norm2(net.conv(max_pool(fine), width), width))
        return fine + upsample(coarse)

    net = Small(pyramid)
    net.head = PixelHead(6, 5, rngs=nnx.Rngs(1))
    net.head.bias[...] = jnp.arange(5.0)
    assert net(_images()).shape == (4, 8, 8, 5)
    check_all(net, SIZE, tmp_path)


def test_names_that_python_keeps_for_itself_become_others(tmp_path):
    kernel, bias = np.eye(3, dtype=np.float32), np.ones(3, np.float32)
    names = ["a.b", "a_b", "class", "train", "x y'\n", "__init__", "", "9"]
    steps = [Step("dense", (n,), name, {"kernel": kernel * n, "bias": bias}) for n, name in enumerate(names)]
    graph = Graph((2, 2, 3), tuple(steps), 1.0)
    flax.save(graph, tmp_path / "net.py")
    images = np.ones((2, 2, 2, 3), np.float32)
    np.testing.assert_array_equal(read.network(tmp_path / "net.py", "flax")(images), graph.run(jnp.asarray(images)))


def test_only_the_weights_of_the_width_are_left_and_norms_are_folded(tmp_path):
    def features(net, x, width):
        x = max_pool(relu(net.norm1(net.stem(x, width), width)))
        return net.drop(relu(net.norm2(net.conv(x, width), width)), width)

    model = Small(features, 16, drop=Dropout(6, 0.5, rngs=nnx.Rngs(0)))
    graph = ordinary(model, SIZE, 0.5, mean=[0.3] * 3, std=[0.4] * 3)
    shapes = {step.name: step.arrays["kernel"].shape for step in graph.steps if step.arrays}
    # Of 6 channels, 3 are active at half the width.
    assert shapes == {"stem": (3, 3, 3, 3), "conv": (3, 3, 3, 3), "head": (3, 16, 4)}
    assert [step.kind for step in graph.steps] == ["conv", "activation", "max_pool", "conv", "activation", "head"]

    import onnx as package

    onnx.save(graph, tmp_path / "net.onnx")
    file = package.load(tmp_path / "net.onnx")
    operators = ["Transpose", "Conv", "Relu", "MaxPool", "Conv", "Relu", "Flatten", "Gemm"]
    assert [node.op_type for node in file.graph.node] == operators
    assert {entry.key: json.loads(entry.value) for entry in file.metadata_props}["mean"] == [0.3] * 3


class Foreign(nnx.Module):
    """A user's own layer with weights, which is no op of the library."""

    def __init__(self):
        self.weights = nnx.Param(jnp.linspace(1, 2, 6))

    def __call__(self, x, width):
        return jnp.cumsum(x * self.weights[: x.shape[-1]].reshape(1, 1, 1, -1), axis=1)


def foreign(net, x, width):
    return global_mean(net.own(net.stem(x, width), width))


def logarithm(net, x, width):
    return global_mean(jnp.log1p(jnp.abs(net.stem(x, width))))


@pytest.mark.parametrize(
    ("features", "message"),
    [(foreign, r"got own \(Foreign\): "), (logarithm, "an export has no form of log1p; it has abs")],
)
def test_what_has_no_ordinary_form_is_named_and_goes_to_stablehlo(features, message, tmp_path):
    model = Small(features, own=Foreign())
    with pytest.raises(UnknownLayerError, match=message):
        lowered(model, SIZE, 0.5)
    stablehlo.save(stablehlo.program(model, SIZE, 0.5), tmp_path / "net")
    found = read.network(tmp_path / "net", "stablehlo", 0.5)(np.asarray(_images()))
    wanted = jax.jit(lambda x: model(x, 0.5))(_images())
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_network_of_known_ops_goes_to_stablehlo_as_the_ordinary_one():
    assert isinstance(stablehlo.program(Small(pre_activation, 4), SIZE, 0.5), Graph)


def test_code_that_needs_a_fixed_number_of_images_is_one_line(tmp_path):
    def features(net, x, width):
        return global_mean(net.own(net.stem(x, width) * (2 if x.shape[0] > 1 else 1), width))

    with pytest.raises(ExportError, match="no program for any number of images") as error:
        stablehlo.save(stablehlo.program(Small(features, own=Foreign()), SIZE, 0.5), tmp_path / "net")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["s_net", "us_net"])
def test_rival_families_at_a_width(name, tmp_path):
    model = Small(pre_activation, 4, families.make(name, fixed=(0.5, 1.0), until=(0.5, 1.0)))
    for norm in (model.norm1, model.norm2):
        if isinstance(norm, CalibratedBatchNorm):
            for width, channels in ((0.5, 3), (1, 6)):
                norm.calibrate(width, width * jnp.arange(0.0, channels), width * jnp.arange(1.0, channels + 1))
    check_run(model, 0.5)
    # Their narrow networks are no prefixes: a bundle would hold something else.
    with pytest.raises(ExportError, match=r"of width 0\.5 is no part of that of width 1"):
        bundle.save([lowered(model, SIZE, width) for width in (0.5, 1.0)], tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_not_exported():
    model = Small(pre_activation, 4)
    model.conv.bias[...] = jnp.full(6, jnp.nan)
    with pytest.raises(ExportError, match="conv: bias must be finite"):
        lowered(model, SIZE, 0.5)


def test_two_threads_export_two_models(tmp_path):
    def export(seed):
        model, size = random_network(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        check_all(model, size, folder, at=(0.6,))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(export, (21, 22)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with a network in every format, its graph, and answers."""
    folder = tmp_path_factory.mktemp("exported")
    dense = TriDense(6, 6, rngs=nnx.Rngs(1))
    graph = lowered(Small(lambda net, x, width: net.dense(net.stem(x, width), width), 64, dense=dense), SIZE, 0.5)
    return folder, save([graph], folder), np.asarray(graph.run(_images()))


def test_files_run_in_a_process_without_this_library(exported):
    folder, _, answers = exported
    np.save(folder / "images.npy", np.asarray(_images()))
    script = """
import sys
sys.modules["awn_jax"] = sys.modules["awn_kernels"] = None
import jax, numpy as np
images = np.load("images.npy")
exported = jax.export.deserialize(bytearray(open("net.stablehlo", "rb").read()))
np.save("stablehlo.npy", exported.call(images))
import net
np.save("flax.npy", net.load()(images))
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=120)
    for name in ("stablehlo", "flax"):
        np.testing.assert_allclose(np.load(folder / f"{name}.npy"), answers, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("to", ["flax", "onnx", "stablehlo"])
def test_damage_to_any_file_is_found_before_it_is_loaded(to, exported):
    _, places, _ = exported
    path = places[to]
    manifest = path.with_name(f"{path.name}.manifest.json")
    files = [path, manifest, *([path.with_suffix(".npz")] if to == "flax" else [])]
    generator = np.random.default_rng(0)
    for file in files:
        whole = file.read_bytes()
        for place in generator.integers(0, len(whole), 12):
            changed = bytearray(whole)
            changed[place] ^= 1 << int(generator.integers(7))
            file.write_bytes(changed)
            # White space and unused facts of a manifest may change; files may not.
            if file != manifest or _meaning(changed) != _meaning(whole):
                with pytest.raises(ExportError, match=r"damaged|must|not there"):
                    read.network(path, to, 0.5)
        for content in (b"", whole[:-1], whole + b" ") if file != manifest else (b"", b"[" * 100_000, b"[]", b"{}"):
            file.write_bytes(content)
            with pytest.raises(ExportError):
                read.network(path, to)
        file.unlink()
        with pytest.raises(ExportError, match="cannot be read"):
            read.network(path, to)
        file.write_bytes(whole)
    with pytest.raises(ExportError, match=rf"must hold {to} of width 0\.7, it holds {to} of width 0\.5"):
        read.network(path, to, 0.7)
    with pytest.raises(ExportError, match="to must be one of"):
        read.network(path, "tflite")


def _meaning(manifest: bytes):
    """What of a manifest must be right for its files to be loaded."""
    try:
        content = json.loads(manifest)
    except ValueError:
        return None
    return {name: content.get(name) for name in ("version", "format", "width", "files")}


def test_a_flax_network_names_arrays_that_do_not_fit(exported):
    _, places, answers = exported
    module: dict = {"__file__": str(places["flax"])}
    exec(places["flax"].read_text(), module)
    with np.load(places["flax"].with_suffix(".npz")) as file:
        arrays = dict(file)

    def load(**arrays):
        content = io.BytesIO()
        np.savez(content, **arrays)
        content.seek(0)
        return module["load"](content)

    np.testing.assert_allclose(load(**arrays)(_images()), answers, rtol=1e-5, atol=1e-5)
    missing = {name: array for name, array in arrays.items() if name != "dense/bias"}
    with pytest.raises(ValueError, match=r"lacks dense/bias of shape \(3,\)"):
        load(**missing)
    with pytest.raises(ValueError, match=r"holds dense/more of shape \(2,\), which the network does not have"):
        load(**arrays, **{"dense/more": np.ones(2)})
    with pytest.raises(ValueError, match=r"stem/kernel must have shape \(3, 3, 3, 3\), got \(1,\)"):
        load(**{**arrays, "stem/kernel": np.ones(1)})
    assert "runs when it is imported" in module["load"].__doc__
