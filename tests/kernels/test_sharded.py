"""How images are split over a mesh, tried on products that say how many images each call is given."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import sharded, vjp
from awn_kernels.backend import Products
from jax.sharding import AxisType, NamedSharding, PartitionSpec

IMAGES = 16


class Told:
    """1×1 products of small arrays, and how many images they were called with."""

    def __init__(self):
        self.images = set()
        self.products = Products(self.forward, self.input_gradient, self.weight_gradient)

    def forward(self, x, w, visible, *, strides, padding):
        self.images.add(len(x))
        return jnp.einsum("bhwc,pqck->bhwk", x, w)

    def input_gradient(self, dy, w, visible, *, x_shape, strides, padding):
        self.images.add(x_shape[0])
        return jnp.einsum("bhwk,pqck->bhwc", dy, w)

    def weight_gradient(self, x, dy, visible, *, w_shape, strides, padding):
        self.images.add(len(x))
        return jnp.einsum("bhwc,bhwk->ck", x, dy).reshape(w_shape)


def arrays(images=IMAGES, dtype="float32"):
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in ((images, 2, 2, 3), (1, 1, 3, 4)))


def step(products):
    """(x, w) -> (y, dx, dw) of a sum of squares."""

    def run(x, w):
        y, transpose = jax.vjp(lambda x, w: vjp.conv(x, w, products, (3,) * 4, (1, 1), ((0, 0), (0, 0))), x, w)
        return y, *transpose(2 * y)

    return run


def check(run, given, rtol=1e-5):
    """Asserts that `run`, on arrays placed anyhow, gives what plain products of the whole arrays give."""
    plain = step(Told().products)(*map(jnp.asarray, given))
    for found, wanted in zip(run, plain, strict=True):
        np.testing.assert_allclose(np.asarray(found, "float32"), np.asarray(wanted, "float32"), rtol=rtol, atol=1e-4)


def mesh_of(kind=AxisType.Auto, **axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes))


def on(mesh, *spec):
    return NamedSharding(mesh, PartitionSpec(*spec))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
@pytest.mark.parametrize(("images", "each"), [(16, 2), (12, 12), (8, 1)])
def test_a_share_is_the_same_on_each_device_or_all_images(images, each, kind):
    told, mesh, given = Told(), mesh_of(kind, data=8), arrays(images)
    split = on(mesh, "data") if images % 8 == 0 else on(mesh)
    placed = jax.device_put(given, (split, on(mesh)))
    check(jax.jit(step(sharded.over_devices(told.products, xla=False)))(*placed), given)
    assert told.images == {each}


@pytest.mark.parametrize(("images", "each"), [(16, 2), (4, 1), (3, 3)])
def test_all_axes_left_to_xla_share_the_images_as_far_as_they_divide_them(images, each):
    told, mesh, given = Told(), mesh_of(data=4, model=2), arrays(images)
    placed = jax.device_put(given, on(mesh))
    check(jax.jit(step(sharded.over_devices(told.products, xla=False)))(*placed), given)
    assert told.images == {each}


def test_axes_that_types_speak_of_are_used_as_they_say():
    told, mesh, given = Told(), mesh_of(AxisType.Explicit, data=4, model=2), arrays()
    placed = jax.device_put(given, (on(mesh, "data"), on(mesh)))
    y, dx, dw = jax.jit(step(sharded.over_devices(told.products, xla=False)))(*placed)
    check((y, dx, dw), given)
    assert told.images == {IMAGES // 4}
    assert jax.typeof(y).sharding.spec[0] == jax.typeof(dx).sharding.spec[0] == "data"


def test_what_xla_can_split_is_left_to_it():
    for kind, each in ((AxisType.Auto, IMAGES), (AxisType.Explicit, IMAGES // 8)):
        told, mesh = Told(), mesh_of(kind, data=8)
        placed = jax.device_put(arrays(), (on(mesh, "data"), on(mesh)))
        check(jax.jit(step(sharded.over_devices(told.products, xla=True)))(*placed), arrays())
        assert told.images == {each}


def test_a_shard_map_of_the_callers_own_is_left_alone():
    told, mesh, given = Told(), mesh_of(data=8), arrays()
    run = jax.shard_map(
        lambda x, w: sharded.over_devices(told.products, xla=False).forward(x, w, (3,) * 4, strides=(1, 1), padding=()),
        mesh=mesh,
        in_specs=(PartitionSpec("data"), PartitionSpec()),
        out_specs=PartitionSpec("data"),
    )
    np.testing.assert_allclose(run(*given), Told().forward(*given, (), strides=(), padding=()), rtol=1e-5, atol=1e-5)
    assert told.images == {IMAGES // 8}


def test_the_mesh_may_be_told_by_the_arrays_a_constraint_or_the_context():
    mesh, given = mesh_of(data=8), arrays()
    split, whole = on(mesh, "data"), on(mesh)
    placed = jax.device_put(given, (split, whole))

    def as_it_goes(run):
        return run(*placed)

    def by_a_constraint(run):
        return jax.jit(lambda x, w: run(jax.lax.with_sharding_constraint(x, split), w))(*given)

    def by_the_context(run):
        with jax.set_mesh(mesh):
            return jax.jit(run, in_shardings=(split, whole))(*given)

    for way in (as_it_goes, by_a_constraint, by_the_context):
        told = Told()
        check(way(step(sharded.over_devices(told.products, xla=False))), given)
        assert told.images == {IMAGES // 8}, way.__name__


def test_the_weight_gradient_is_summed_in_float32():
    mesh = mesh_of(data=8)
    products = sharded.over_devices(Told().products, xla=False)

    def weight_gradient(x, dy):
        return products.weight_gradient(x, dy, (1,), w_shape=(1, 1, 1, 1), strides=(1, 1), padding=())

    pair = jax.device_put((jnp.ones((8, 1, 1, 1), "bfloat16"),) * 2, on(mesh, "data"))
    text = str(jax.make_jaxpr(weight_gradient)(*pair))
    assert re.findall(r"(\w+)\[[\d,]*\] = psum", text) == ["f32"], text
    assert weight_gradient(*pair).dtype == "bfloat16"
