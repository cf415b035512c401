"""Recipes: averages of weights, batches in parts, a narrower type to compute in, softer labels."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import LeNet3C1L, data, families, tasks
from awn_jax.layers import AnyWidthHead, BatchNorm
from awn_jax.models import axes
from awn_jax.tasks import Classification, cross_entropy
from awn_jax.training import OBJECTIVES, averages, calibration, plan, precision, split
from awn_jax.training.accumulation import accumulated
from awn_jax.training.objectives import StepGradient, dropout_key

SIZE = (16, 16, 1)


def network(dtype=jnp.float32, **options):
    options = {"channels": 4, "implementation": "reference", **options}
    return LeNet3C1L(SIZE, 10, dtype=dtype, rngs=nnx.Rngs(0), **options)


def batch(digits, dtype, count=24):
    images = jnp.asarray(digits.images[:count, 6:22, 6:22], dtype) / 255
    return images, jnp.asarray(digits.labels[:count])


# ── accumulation


@pytest.mark.parametrize(("how", "loop"), [("nested", False), ("sequential", True)])
def test_parts_of_a_batch_teach_what_the_batch_teaches(digits, float64, how, loop, monkeypatch):
    """With frozen statistics, as batch norms have them in inference mode: no image then sees the others. In less memory."""
    monkeypatch.setattr("awn_jax.hardware.runs_loops_well", lambda: loop)
    model = network(jnp.float64)
    model.eval()
    images, labels = batch(digits, jnp.float64)
    widths = plan.random(axes(model), 0.25, 3, distillation=0.5) if how == "nested" else plan.fixed((0.5, 1.0))
    graphdef, *state = split(model)

    def learnt(parts):
        objective = accumulated(OBJECTIVES[how], parts)
        step = jax.jit(lambda *s: objective(graphdef, *s, images, labels, widths, jax.random.key(0)))
        program = step.lower(*state).compile()
        return program(*state), program.memory_analysis().temp_size_in_bytes

    (parts, less), (whole, more) = learnt(2), learnt(1)
    chex.assert_trees_all_close(parts, whole, rtol=1e-12, atol=1e-14)
    assert less < 0.75 * more


def test_parts_come_one_after_the_other_with_the_same_widths_and_a_dropout_of_their_own():
    """Every image is in one part, each part goes on with the statistics of the one before."""

    def objective(graphdef, params, rest, images, targets, plan, key, task, *, cast, part):
        loss = images.mean()
        return StepGradient(
            loss, jax.random.key_data(key).astype(jnp.float32), params * targets.sum(), 10 * rest + part
        )

    images, targets = jnp.arange(12.0).reshape(12, 1, 1, 1), jnp.arange(12.0)
    key, graphdef = jax.random.key(3), nnx.graphdef(network())
    learnt = accumulated(objective, 3)(graphdef, jnp.float32(2), jnp.int32(7), images, targets, plan.fixed((1.0,)), key)
    assert (float(learnt.loss), float(learnt.gradient)) == (5.5, 2 * 66 / 3)
    np.testing.assert_array_equal(learnt.losses, jax.random.key_data(key))
    assert int(learnt.rest) == 7012
    keys = {tuple(jax.random.key_data(dropout_key(key, part)).tolist()) for part in range(3)}
    assert len(keys) == 3


# ── averages


def test_the_average_weighs_steps_by_their_age_and_leaves_out_what_was_before():
    values, decay = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32), 0.8
    average = {"weights": jnp.full(3, 1e6), "count": jnp.int32(0)}
    for step, value in enumerate(values, 1):
        average = averages.follow(average, {"weights": jnp.asarray(value), "count": jnp.int32(step)}, step, decay)
        weights = decay ** np.arange(step - 1, -1, -1)
        np.testing.assert_allclose(average["weights"], weights @ values[:step] / weights.sum(), rtol=1e-4, atol=0.1)
    assert int(average["count"]) == 7
    # So also where a float32 keeps few digits of the decay.
    slow = averages.follow(jnp.float32(5), jnp.float32(1), jnp.int32(1), 0.999999)
    np.testing.assert_allclose(slow, 1, rtol=1e-6)


@pytest.mark.parametrize("family", ["triangular", "s_net"])
def test_recomputed_statistics_are_those_of_the_images(digits, family):
    """The statistics of all images in one batch are what training mode normalises by."""
    images = data.ImageSet(digits.images[:40, 6:22, 6:22], digits.labels[:40], 10)
    at = (0.5, 1.0) if family == "s_net" else (1.0,)
    model = network(family=families.make(family, fixed=at))
    preparation, mesh = data.Preparation((0.3,), (0.3,)), data.data_mesh()
    calibration.recompute(model, images, preparation, mesh, at, batch_size=40)
    x = preparation.normalised(jnp.asarray(images.images))
    training = nnx.clone(model)
    training.train()
    outputs = nnx.jit(lambda *models: [[model(x, width) for width in at] for model in models])
    np.testing.assert_allclose(*outputs(model, training), rtol=1e-3, atol=1e-3)
    # In two batches: the moments of all images, though later layers see each batch normalised by its own.
    first = (lambda model: model.norm1) if family == "triangular" else (lambda model: model.norm1.norms[1])
    halves = nnx.clone(model)
    calibration.recompute(halves, images, preparation, mesh, at, batch_size=24)
    np.testing.assert_allclose(first(halves).var[...], first(model).var[...], rtol=1e-5)


# ── precision


def test_bfloat16_is_computed_in_and_not_kept(digits):
    model = network()
    images, labels = batch(digits, jnp.bfloat16)
    graphdef, *state = split(model)
    step = (images, labels, plan.fixed((0.5, 1.0)), jax.random.key(0))

    def learn(*state):
        return OBJECTIVES["nested"](graphdef, *state, *step, cast=precision.cast(model, "bfloat16"))

    program = str(jax.make_jaxpr(learn)(*state))
    convolutions = [line for line in program.splitlines() if "conv_general_dilated" in line]
    assert convolutions
    assert all(":bf16" in line.split("=")[0] for line in convolutions)
    learnt = jax.eval_shape(learn, *state)
    chex.assert_trees_all_equal_dtypes(learnt.gradient, state[0])
    chex.assert_trees_all_equal_dtypes(learnt.rest, state[1])
    assert learnt.loss.dtype == jnp.float32
    # Norms and the head keep their own.
    used = nnx.merge(graphdef, precision.cast(model, "bfloat16")(state[0]), state[1])
    for path, module in nnx.iter_modules(used):
        wanted = jnp.float32 if isinstance(module, BatchNorm | AnyWidthHead) else jnp.bfloat16
        own = [value for value in vars(module).values() if isinstance(value, nnx.Param)]
        assert all(value.dtype == wanted for value in own), path


# ── labels


def test_smoothed_labels_are_for_training_alone():
    draw = np.random.default_rng(0)
    logits, labels = jnp.asarray(draw.normal(size=(2, 5, 4)), jnp.float32), jnp.array([0, 1, 2, 3, 3])
    task = tasks.make("classify", smoothing=0.2)
    rest = -jax.nn.log_softmax(logits).mean(-1)
    expected = 0.8 * cross_entropy(logits, labels) + 0.2 * rest
    np.testing.assert_allclose(task.losses(logits, labels), expected, rtol=1e-5)
    np.testing.assert_allclose(task.losses(logits, jax.nn.one_hot(labels, 4)), expected, rtol=1e-5)
    counted = jnp.ones(5, bool)
    tested, plain = (kind.update(kind.start(2), logits, labels, counted) for kind in (task, Classification()))
    chex.assert_trees_all_equal(tested, plain)


class NoLabels(Classification):
    """A task of a user's own."""


def test_smoothing_is_refused_where_labels_are_no_classes():
    with pytest.raises(ValueError, match=r"train\.label_smoothing must be 0 for task '.*NoLabels', .* got 0\.1"):
        tasks.make(f"{__name__}:NoLabels", smoothing=0.1)
