"""Vertically sliced networks: the multi-branch form is several networks in one, the sparse form is one network."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import anytime, build, costs, export, models, widths
from awn_jax import config as configs
from awn_jax.layers import BranchedConv
from awn_jax.models import axes
from awn_jax.training import plan, sequential, split
from tests.test_models_all import filled, outputs

SIZE, CLASSES = (8, 8, 3), 5
SMALL = {"trunk": 8, "bottleneck": 2, "blocks": (1, 1, 0), "branches": 4}


def network(**changes):
    values = configs.default("sliced_resnext")
    for name, value in {**SMALL, **changes}.items():
        values.model[name] = value
    if values.model.form == "branches":
        values.widths.how, values.widths.train = "sequential", "fixed"
        count = values.model.branches
        values.widths.fixed = tuple((k + 1) / count for k in range(count)) if values.model.family == "s_net" else (1.0,)
    config = configs.parse(values)
    return config, filled(build.network(config, SIZE, CLASSES))


@pytest.fixture(scope="module")
def multi():
    return network(form="branches", family="s_net")[1]


def images(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(4, *SIZE)), jnp.float32)


@pytest.mark.parametrize("training", [True, False])
def test_the_first_branches_are_a_network_of_their_own(multi, training):
    count, wide = 3, nnx.clone(multi)
    alone = network(form="branches", family="single", branches=count)[1]
    theirs = dict(nnx.to_flat_state(nnx.state(wide)))
    for path, variable in nnx.to_flat_state(nnx.state(alone)):
        # What is private stands at its place in a list; convolutions have further branches.
        private = [i + 1 for i, key in enumerate(path) if key in ("norms", "heads")]
        found = theirs[(*path[: private[0]], count - 1, *path[private[0] + 1 :]) if private else path][...]
        variable[...] = found[tuple(slice(size) for size in variable.shape)]
    for model in (wide, alone):
        model.train() if training else model.eval()
    np.testing.assert_allclose(outputs(wide, images(), 0.75), outputs(alone, images(), 1), rtol=1e-5, atol=1e-5)
    assert [int(n[0]) for n in costs(wide, SIZE, [0.75])] == [int(n[0]) for n in costs(alone, SIZE, [1])]


def test_a_pass_for_a_number_of_branches_moves_what_is_private_to_it_alone(multi):
    graphdef, params, rest = split(multi)
    at = plan.fixed((0.5,))
    step = jax.jit(lambda p, r, x: sequential(graphdef, p, r, x, jnp.arange(4), at, jax.random.key(0)).gradient)
    moved = {path: bool(np.any(leaf[...])) for path, leaf in nnx.to_flat_state(step(params, rest, images()))}
    for path, moves in moved.items():
        names = [str(key) for key in path]
        for private in {"heads", "norms"} & set(names):
            assert moves == (path[names.index(private) + 1] == 1), path
        if "convs" in names:
            assert moves == (path[names.index("convs") + 1] < 2), path
    assert sum(moved.values()) > 10


def test_branches_of_the_published_form_do_not_share_what_they_compute(multi):
    assert not multi.nests(SIZE)
    with pytest.raises(TypeError, match="needs narrow networks that are prefixes of wide ones"):
        anytime.start(multi, images(), 0.25)


def test_the_sparse_form_is_the_usual_network_with_one_birth_a_branch():
    config, sparse = network(multiplier=1.0)
    assert sparse.nests(SIZE)
    moments = {Fraction(birth, axis.denominator) for axis in axes(sparse) for birth in axis.births}
    assert moments == {Fraction(k, 4) for k in range(4)}
    assert build.width_plan(config, sparse).widths == (0.25, 0.375, 0.625, 1.0)
    # A branch of the 3×3 convolution reads those before it and itself.
    exists = sparse.layers[0].conv2.exists()
    assert [int(exists[:, 2 * k].sum()) for k in range(4)] == [2, 4, 6, 8]


def test_branches_of_any_sizes_read_themselves_alone():
    axis = widths.Axis((0, 0, 1, 2, 2, 2), 3)
    conv = BranchedConv(axis, axis, 3, padding=1, use_bias=True, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 6)), jnp.float32)
    kernel = conv.ordinary(1, (4, 4, 6)).arrays["kernel"]
    branch = np.array([0, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(kernel.any((0, 1)), branch[:, None] == branch)
    wide = conv(x)
    np.testing.assert_allclose(conv(x[..., :3], width=0.5), wide[..., :3], rtol=1e-6)
    np.testing.assert_allclose(conv.added(x[..., 3:], width=1, after=0.5), wide[..., 3:], rtol=1e-6)
    found = conv.costs((4, 4, 6), [0.3, 0.5, 1])
    assert found.macs.tolist() == [16 * 9 * n for n in (4, 5, 14)]
    assert found.params.tolist() == [9 * n + c for n, c in ((4, 2), (5, 3), (14, 6))]
    with pytest.raises(ValueError, match="inputs and outputs must be born at the same moments, got 3 and 6 moments"):
        BranchedConv(axis, widths.Axis(tuple(range(6)), 6), 3, rngs=nnx.Rngs(0))


def test_one_number_of_branches_is_exported(multi):
    model = nnx.clone(multi)
    model.eval()
    alone = export.lowered(model, SIZE, 0.5).run(images())
    np.testing.assert_allclose(alone, outputs(model, images(), 0.5), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branches": 0}, "branches must be at least 1, got 0"),
        ({"grid": 8}, "grid must be 0 or branches=4, one birth a branch, got 8"),
        ({"form": "branches"}, "family must be 's_net' or 'single' for form 'branches', got 'triangular'"),
        ({"trunk": 3, "multiplier": 1.0}, "branches must be at most 3, the channels of a stage, got 4"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        models.SlicedResNeXt(SIZE, CLASSES, rngs=nnx.Rngs(0), **{**SMALL, **options})
