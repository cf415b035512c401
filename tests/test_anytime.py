"""Anytime answers: exact at every width, no channel computed twice, limits kept."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import AnyWidthClassifier, AnyWidthHead, Axis, BatchNorm, LeNet3C1L, TriConv, inspection, max_pool
from awn_jax.anytime import Predictor, start, widen
from awn_jax.anytime.predict import confidence_of

LADDER = (0.25, 0.5, 0.75, 1.0)
SIZE = (18, 16, 1)


class Residual(AnyWidthClassifier):
    """A user's own network: axes that differ, a stride, groups, a dense core, a bias, a residual sum, a layer in a list."""

    def __init__(self, rngs: nnx.Rngs):
        axis, grouped = Axis.of(20, core=0.25), Axis.of(24, group=12)
        self.stem = TriConv(Axis.whole(3), axis, 3, strides=2, rngs=rngs)
        self.blocks = nnx.List([TriConv(axis, axis, 3, use_bias=True, rngs=rngs), TriConv(axis, grouped, 3, rngs=rngs)])
        self.norm = BatchNorm(axis)
        self.last = TriConv(grouped, grouped, 1, rngs=rngs)
        self.head = AnyWidthHead(grouped, 16, 5, rngs=rngs)

    def features(self, x, width=1):
        x = nnx.relu(self.stem(2 * x, width))
        x = x + nnx.gelu(self.norm(self.blocks[0](x, width), width))
        return max_pool(nnx.relu(self.last(self.blocks[1](x, width), width)))


def direct(model, x, width):
    return jax.jit(lambda x: model(x, width))(x)


def lived_in(model: nnx.Module) -> nnx.Module:
    """The model with statistics, scales and biases that are not the initial ones."""
    keys = iter(jax.random.split(jax.random.key(7), 64))
    for _, module in nnx.iter_modules(model):
        if isinstance(module, BatchNorm):
            for value in (module.scale, module.bias, module.mean, module.var):
                value[...] = jax.random.uniform(next(keys), value.shape, minval=0.5, maxval=1.5)
    model.eval()
    return model


@pytest.fixture(scope="module")
def lenet():
    return lived_in(LeNet3C1L(SIZE, 10, channels=13, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (6, *SIZE))


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: LeNet3C1L(SIZE, 10, channels=13, rngs=nnx.Rngs(0)), SIZE),
        (lambda: LeNet3C1L(SIZE, 10, channels=13, implementation="reference", rngs=nnx.Rngs(0)), SIZE),
        (lambda: Residual(nnx.Rngs(0)), (16, 16, 3)),
    ],
    ids=["lenet", "lenet_plain_rows", "own_network"],
)
def test_every_rung_gives_the_logits_of_a_direct_run(make, size):
    model = lived_in(make())
    x = jax.random.normal(jax.random.key(1), (3, *size))
    answers = jax.jit(lambda x: [model(x, width) for width in LADDER])(x)
    logits, state = start(model, x, LADDER[0])
    np.testing.assert_allclose(logits, answers[0], rtol=1e-5, atol=1e-5)
    for width, expected in zip(LADDER[1:], answers[1:], strict=True):
        logits, state = widen(state, width)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert state.macs == inspection.cost(model, size, 1).macs


def test_old_state_stays_valid_and_a_step_may_skip_widths(lenet, images):
    _, state = start(lenet, images, 0.25)
    once, _ = widen(state, 1.0)
    _, half = widen(state, 0.5)
    again, _ = widen(half, 1.0)
    np.testing.assert_allclose(once, again, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(half.logits, widen(state, 0.5)[0])


def test_later_training_does_not_reach_a_state(lenet, images):
    model = nnx.clone(lenet)
    before = direct(model, images, 1)
    _, state = start(model, images, 0.5)
    model.conv3.kernel[...] = jnp.zeros_like(model.conv3.kernel[...])
    np.testing.assert_allclose(widen(state, 1)[0], before, rtol=1e-5, atol=1e-5)


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


def test_the_programs_of_a_ladder_do_no_more_work_than_one_full_pass(images):
    # Dense convolutions, whose multiply-accumulates a program's text shows; a ladder of four saves 3/8 of the rectangle.
    model = LeNet3C1L(SIZE, 10, channels=13, implementation="reference", rngs=nnx.Rngs(0))
    model.eval()
    x = images[:1]
    full = executed_macs(jax.make_jaxpr(lambda x: model(x, 1))(x).jaxpr)
    _, state = start(model, x, 0.25)
    ladder = executed_macs(state.programs.step(0.25, None).trace(state.params, x, (), None).jaxpr)
    for width in LADDER[1:]:
        arguments = state.params, x, state.inputs, state.logits
        ladder += executed_macs(state.programs.step(width, state.width).trace(*arguments).jaxpr)
        _, state = widen(state, width)
    assert 0.55 * full < ladder < 0.75 * full


def test_a_layer_that_cannot_be_widened_is_named(images):
    class Shift(nnx.Module):
        def __init__(self):
            self.offset = nnx.Param(jnp.ones(8))

        def __call__(self, x, width=1):
            return x + self.offset[: x.shape[-1]]

    class Shifted(LeNet3C1L):
        def __init__(self, rngs):
            super().__init__(SIZE, 10, channels=8, rngs=rngs)
            self.norm2 = Shift()

    model = Shifted(nnx.Rngs(0))
    _, state = start(model, images, 0.5)
    with pytest.raises(TypeError, match=r"norm2 \(Shift\) has weights and no method rows"):
        widen(state, 1)


@pytest.mark.parametrize("width", [0.5, 0.25, 1.5])
def test_widen_refuses_a_width_that_is_not_wider(lenet, images, width):
    _, state = start(lenet, images, 0.5)
    with pytest.raises(ValueError, match="width must be"):
        widen(state, width)


def test_a_known_structure_compiles_nothing(lenet, images):
    def ladder():
        _, state = start(lenet, images, 0.5)
        return widen(state, 1)[0]

    ladder()
    with jax.no_tracing():
        ladder()


def test_confidence_widens_only_the_images_that_are_not_sure(lenet, images):
    at = np.asarray(jax.jit(lambda x: lenet.logits_at(x, LADDER))(images))
    sure = confidence_of(at)
    # Between the least and the most sure at the first width: some images stop there.
    confidence = float(np.median(sure[0]))
    expected = np.where((sure >= confidence).any(0), (sure >= confidence).argmax(0), len(LADDER) - 1)
    assert len(set(expected)) > 1
    found = Predictor(lenet, LADDER).predict(images, confidence=confidence)
    np.testing.assert_array_equal(found.width, np.take(LADDER, expected))
    np.testing.assert_allclose(found.logits, at[expected, np.arange(len(images))], rtol=1e-4, atol=1e-5)
    spent = [inspection.cost(lenet, SIZE, width).macs for width in LADDER]
    np.testing.assert_array_equal(found.macs, np.take(spent, expected))


def test_a_deadline_always_has_an_answer_and_stops_before_a_step_that_would_end_late(lenet, images, monkeypatch):
    predictor = Predictor(lenet, LADDER)
    late = predictor.predict(images, deadline_s=0.0)
    assert set(late.width) == {0.25}
    np.testing.assert_allclose(late.logits, direct(lenet, images, 0.25), rtol=1e-5, atol=1e-5)
    early = predictor.predict(images, deadline_s=60.0)
    assert set(early.width) == {1.0}
    np.testing.assert_allclose(early.logits, direct(lenet, images, 1), rtol=1e-5, atol=1e-5)

    # A clock on which every look takes a second, and steps that are known to take one second, and the last one ten.
    for rung, seconds in enumerate([1, 1, 1, 10]):
        predictor._seconds[images.shape, rung].extend([seconds] * 5)
    ticks = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    assert set(predictor.predict(images, deadline_s=14.0).width) == {0.75}


def test_a_deadline_reaches_the_widest_after_calls_that_have_compiled_some_steps_only(lenet, images):
    predictor, two = Predictor(lenet, (0.25, 1.0)), images[:2]
    assert set(predictor.predict(two, confidence=0.0).width) == {0.25}
    assert set(predictor.predict(two, deadline_s=60.0).width) == {1.0}
    assert set(predictor.predict(two, deadline_s=60.0, confidence=1.0).width) == {1.0}


@pytest.mark.parametrize("limit", [{"deadline_s": -1.0}, {"confidence": 1.1}, {"confidence": float("nan")}])
def test_limits_out_of_range_are_named(lenet, images, limit):
    with pytest.raises(ValueError, match=f"{next(iter(limit))} must be"):
        Predictor(lenet, LADDER).predict(images, **limit)
