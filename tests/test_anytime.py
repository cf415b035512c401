"""Anytime answers: exact at every width, no channel computed twice."""

import concurrent.futures
import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import (
    AnyWidthClassifier,
    AnyWidthHead,
    Axis,
    Concatenate,
    LeNet3C1L,
    Op,
    TriConv,
    TriDense,
    cost,
    families,
    max_pool,
    mean_pool,
    relu,
    widths,
)
from awn_jax.anytime import LADDER, Predictor, programs, start, widen
from awn_jax.layers.op import run
from awn_jax.network import UnknownLayerError
from tests.random_networks import KINDS, direct, images_of, random_network

SIZE = (8, 8, 3)


def check_ladder(model, x, at):
    expected = direct(model, x, at)
    outputs, state = start(model, x, at[0])
    np.testing.assert_allclose(outputs, expected[0], rtol=1e-5, atol=1e-5)
    for width, there in zip(at[1:], expected[1:], strict=True):
        outputs, state = widen(state, width)
        np.testing.assert_allclose(outputs, there, rtol=1e-5, atol=1e-5)
    assert state.macs == cost(model, x.shape[1:], at[-1]).macs


@pytest.mark.parametrize("seed", range(len(KINDS)), ids=KINDS)
def test_every_rung_gives_the_outputs_of_a_direct_run(seed):
    model, size = random_network(seed)
    check_ladder(model, images_of(size, 2), (0.3, 0.5, 1.0))


@dataclasses.dataclass(frozen=True)
class Larger(Op):
    """An op from outside of the library: every pixel four times."""

    def apply(self, x, *, width=1):
        return x.repeat(2, 1).repeat(2, 2)


class UNet(AnyWidthClassifier):
    """Skips are joined by birth, or one after the other; the images themselves are joined too."""

    def __init__(self, *, plain=False, rngs=None):
        rngs = rngs or nnx.Rngs(0)
        few, many = Axis.of(5), Axis.of(8, group=2)
        self.plain, self.join, self.join_images = plain, Concatenate([few, many]), Concatenate([few, Axis.whole(3)])
        self.down, self.bottom = TriConv(Axis.whole(3), few, 3, rngs=rngs), TriConv(few, many, 3, rngs=rngs)
        self.up = TriConv(self.join.axis, few, 3, rngs=rngs)
        self.head = AnyWidthHead(self.join_images.axis, 64, 4, rngs=rngs)

    def features(self, x, width=1):
        down = nnx.relu(self.down(x, width))
        bottom = run(Larger(), (relu(self.bottom(max_pool(down), width)),), width)
        join = (lambda values, width: jnp.concatenate(values, -1)) if self.plain else self.join
        return self.join_images([nnx.relu(self.up(join([down, bottom], width), width)), x], width)


def test_skips_joined_by_birth_are_widened_and_others_are_refused_by_name():
    # A width more than once between the births of some values, and at which some have nothing new.
    check_ladder(UNet(), images_of(SIZE, 2), (0.2, 0.35, 0.4, 1.0))
    with pytest.raises(UnknownLayerError, match=r"needs a network of the library's ops alone, got .*concatenate"):
        start(UNet(plain=True), images_of(SIZE), 0.5)


def test_what_depends_on_a_head_is_computed_anew():
    class Staged(nnx.Module):
        """A first answer is looked at again; some of it is not used."""

        def __init__(self, rngs):
            axis, hidden = Axis.of(8), Axis.of(6)
            self.conv = TriConv(Axis.whole(3), axis, 3, rngs=rngs)
            self.coarse, self.fine = AnyWidthHead(axis, 1, 4, rngs=rngs), AnyWidthHead(hidden, 1, 4, rngs=rngs)
            self.hidden, self.other = TriDense(Axis.whole(4), hidden, rngs=rngs), TriDense(axis, hidden, rngs=rngs)

        def __call__(self, x, width=1):
            x = relu(self.conv(x, width)).mean((1, 2))
            first = jnp.tanh(self.coarse(x, width))
            relu(first)
            return first + self.fine(self.hidden(first, width) * self.other(x, width), width)

    check_ladder(Staged(nnx.Rngs(0)), images_of(SIZE, 2), (0.25, 0.7, 1.0))


def executed_macs(jaxpr) -> int:
    """Multiply-accumulates of the convolutions and products in a program, whatever the program's author counts."""
    total = 0
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            total += executed_macs(inner) if hasattr(inner, "eqns") else 0
        shapes = [variable.aval.shape for variable in equation.invars]
        if equation.primitive.name == "conv_general_dilated":
            taps, reads = np.prod(shapes[1][:2]), shapes[1][2]
            total += int(np.prod(equation.outvars[0].aval.shape) * taps * reads)
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += int(
                np.prod(equation.outvars[0].aval.shape) * np.prod([shapes[0][axis] for axis in contracted] or [1])
            )
    return total


def test_the_programs_of_a_ladder_do_no_more_work_than_one_full_pass():
    # Dense convolutions, whose multiply-accumulates a program's text shows; a ladder of four saves 3/8 of the rectangle.
    size = (18, 16, 1)
    model = LeNet3C1L(size, 10, channels=13, implementation="reference", rngs=nnx.Rngs(0))
    model.eval()
    x = images_of(size, 1)
    full = executed_macs(jax.make_jaxpr(lambda x: model(x, 1))(x).jaxpr)
    structure, weights = programs.split(model)
    ladder, after, kept = 0, None, {}
    for width in map(widths.exact_width, LADDER):
        step = programs.step(structure, width, after, x.shape, x.dtype)
        ladder += executed_macs(step.trace(weights, x, kept).jaxpr)
        after, (_, kept) = width, jax.eval_shape(step, weights, x, kept)
    assert 0.55 * full < ladder < 0.75 * full
    # Nothing comes after full width, so nothing is kept.
    assert kept == {}


def test_old_state_stays_valid_and_a_step_may_skip_widths(net):
    model, x, expected = net
    _, state = start(model, x, 0.25)
    once, _ = widen(state, 1.0)
    _, half = widen(state, 0.5)
    np.testing.assert_allclose(once, expected[-1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(widen(half, 1.0)[0], expected[-1], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(half.outputs, widen(state, 0.5)[0])


def test_later_training_does_not_reach_a_state(net):
    model, x, expected = net
    model = nnx.clone(model)
    _, state = start(model, x, 0.5)
    for _, module in nnx.iter_modules(model):
        if isinstance(module, TriConv | AnyWidthHead):
            module.kernel[...] = jnp.zeros_like(module.kernel[...])
    np.testing.assert_allclose(widen(state, 1)[0], expected[-1], rtol=1e-5, atol=1e-5)


class Plain(AnyWidthClassifier):
    """A convolution, something in between, a head."""

    def __init__(self, between, pixels=16):
        axis, rngs = Axis.of(6), nnx.Rngs(0)
        self.between = between
        self.conv = TriConv(Axis.whole(3), axis, 3, rngs=rngs)
        self.head = AnyWidthHead(axis, pixels, 4, rngs=rngs)

    def features(self, x, width=1):
        return self.between(self.conv(x, width), width)


@pytest.mark.parametrize(
    ("between", "named"),
    [
        (lambda x, width: (max_pool if width > 0.5 else mean_pool)(x), r"Pool\(mean=True.* at width=0.5 and pool"),
        (lambda x, width: max_pool(x) * width, r"mul .*0\.5.* at width=0.5 and mul"),
        (lambda x, width: relu(max_pool(x)) if width == 1 else max_pool(x), "at width=0.5 and activation"),
    ],
    ids=["another op", "another constant", "one op more"],
)
def test_a_model_that_takes_another_path_at_another_width_is_refused(between, named):
    _, state = start(Plain(between), images_of(SIZE), 0.5)
    with pytest.raises(TypeError, match=f"the same ops on the same values at every width, this one runs .*{named}"):
        widen(state, 1)


def test_a_layer_that_runs_at_a_width_of_its_own_is_refused_by_name():
    class Least(Plain):
        def __call__(self, x, width=1):
            return super().__call__(x, max(width, 0.5))

    model = Least(lambda x, width: max_pool(x))
    check_ladder(model, images_of(SIZE, 2), (0.5, 1.0))
    with pytest.raises(TypeError, match=r"conv: is called with width=0.5 where the network has width=0.25"):
        start(model, images_of(SIZE), 0.25)


def test_networks_that_are_no_prefixes_of_each_other_are_refused_by_name():
    family = families.make("s_net", fixed=(0.5, 1))
    model = nnx.eval_shape(lambda: LeNet3C1L((18, 16, 1), 10, channels=4, family=family, rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match=r"conv1 \(Conv\) gives other values at every width"):
        start(model, images_of((18, 16, 1)), 0.5)


@pytest.mark.parametrize("width", [0.5, 0.25, 1.5])
def test_widen_refuses_a_width_that_is_not_wider(net, width):
    _, state = start(net[0], net[1], 0.5)
    with pytest.raises(ValueError, match=f"width must be .*got {width}"):
        widen(state, width)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda x: x.astype(np.uint8), TypeError, "x must be floating-point numbers, normalised .* got uint8"),
        (lambda x: x[0], ValueError, r"x must be one or more images, of shape \[B, H, W, P\], got shape"),
        (lambda x: x[:0], ValueError, "x must be one or more images"),
        (
            lambda x: x.repeat(2, -1),
            ValueError,
            r"images that the network takes, these are of size \(8, 11, 2\): TriConv",
        ),
        (lambda x: x[:, :-3], ValueError, r"these are of size \(5, 11, 1\): AnyWidthHead: x must have .* pixels"),
    ],
    ids=["dtype", "one image", "no image", "planes", "pixels"],
)
def test_images_that_the_network_does_not_take_are_named(net, change, error, named):
    for call in (lambda x: start(net[0], x, 0.5), Predictor(net[0]).predict):
        with pytest.raises(error, match=named):
            call(change(net[1]))


def test_a_known_structure_compiles_nothing(net):
    def ladder():
        _, state = start(net[0], net[1], 0.5)
        return widen(state, 1)[0]

    ladder()
    with jax.no_tracing():
        ladder()


def test_a_model_may_keep_a_list_and_one_structure_serves_equal_models():
    def named(*names):
        model = Plain(max_pool_only)
        model.names, model.about = list(names), {"classes": [4]}
        return model

    x = images_of(SIZE, 2)
    model = named("cat", "dog")
    check_ladder(model, x, (0.5, 1.0))
    structure, _ = programs.split(model)
    assert programs.split(named("cat", "dog"))[0] is structure
    # Python code may depend on what the list holds: another content is another structure, and the old one stays as it was.
    model.names.append("cow")
    assert programs.split(model)[0] is not structure
    assert structure.model().names == ["cat", "dog"]


def max_pool_only(x, width):
    return max_pool(x)


def test_threads_share_models_and_have_their_own():
    nets = [random_network(seed) for seed in (15, 23)]
    x = [images_of(size, 3) for _, size in nets]
    expected = [direct(model, images, (0.5, 1.0)) for (model, _), images in zip(nets, x, strict=True)]
    together = threading.Barrier(4)

    def climb(i):
        together.wait()
        # None of these programs is there yet.
        outputs, state = start(nets[i][0], x[i], 0.5)
        return outputs, widen(state, 1.0)[0]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for i, found in zip((0, 1, 0, 1), pool.map(climb, (0, 1, 0, 1)), strict=True):
            for ours, theirs in zip(found, expected[i], strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
