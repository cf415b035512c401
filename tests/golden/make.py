"""Wrote lenet.json: numbers of LeNet-3C1L before its layers, costs, objectives and exports were rewritten.

    python tests/golden/make.py          # at commit 73ae5cf

Kept as the record of where the numbers come from; it runs at that commit alone.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import LeNet3C1L, cost, data, experiment, export, methods
from awn_jax import config as configs
from awn_jax.models import axes, distinct_widths
from awn_jax.training import nested, plan, split

WIDTHS = (0.25, 0.5, 0.75, 1.0)
START = [
    *((f"conv{i}", f"conv{i}", "kernel") for i in (1, 2, 3)),
    ("dense", "head", "kernel"),
    ("bias", "head", "bias"),
]


def summary(tree):
    """Norm and eight entries of every array, by its path."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = ".".join(str(getattr(p, "key", getattr(p, "name", p))) for p in path).removesuffix(".value")
        array = np.asarray(leaf, np.float64).ravel()
        spots = np.linspace(0, array.size - 1, 8).astype(int)
        found[name] = [float(np.sqrt(np.square(array).sum())), *map(float, array[spots])]
    return found


def images_of(dtype):
    digits = data.load("digits", "train")
    return jnp.asarray(digits.images[:6], dtype) / 255, jnp.asarray(digits.labels[:6])


def network(dtype, **options):
    return LeNet3C1L((28, 28, 1), 10, dtype=dtype, rngs=nnx.Rngs(0), **options)


def shaken(model):
    for index, name in enumerate(("norm1", "norm2", "norm3")):
        norm, draw = getattr(model, name), np.random.default_rng(index)
        for values in (norm.scale, norm.bias, norm.mean, norm.var):
            values[...] = jnp.asarray(draw.uniform(0.5, 1.5, values.shape), values.dtype)
    return model


def main():
    golden = {}
    golden["initial"] = {
        "45": summary(split(network(jnp.float32))[1]),
        "8": summary(split(network(jnp.float32, channels=8, group=2, core=0.3))[1]),
    }
    model = network(jnp.float32)
    at = distinct_widths(model)
    golden["costs"] = [[width, *cost(model, (28, 28, 1), width)] for width in at]
    golden["rivals"] = {}
    for method in ("s_net", "us_net", "shared_bn", "single_8"):
        config = configs.parse(methods.apply(configs.default(), method))
        rival = experiment.make_model(config, (28, 28, 1), 10)
        golden["rivals"][method] = [[width, *cost(rival, (28, 28, 1), width)] for width in WIDTHS]
    with jax.enable_x64(True):
        x, labels = images_of(jnp.float64)
        golden["logits"] = {}
        for mode in ("train", "eval"):
            model = shaken(network(jnp.float64, channels=12, core=0.2, fan_in="visible"))
            getattr(model, mode)()
            run = nnx.jit(lambda model, width: model(x, width), static_argnums=1)
            golden["logits"][mode] = [np.asarray(run(nnx.clone(model), width)).tolist() for width in WIDTHS]
        golden["steps"] = {}
        for name, dropout, make in (
            ("all", 0.0, lambda m: plan.every(axes(m), 0.25, total=4.0, ends=0.1)),
            ("four", 0.0, lambda m: plan.fixed(WIDTHS)),
            ("dropout", 0.2, lambda m: plan.fixed(WIDTHS)),
        ):
            model = network(jnp.float64, channels=8, dropout=dropout)
            model.train()
            graphdef, params, stats = split(model)
            learnt = jax.jit(lambda p, s: nested(graphdef, p, s, x, labels, make(model), jax.random.key(5)))(
                params, stats
            )
            after = nnx.merge(graphdef, params, learnt.stats)
            golden["steps"][name] = {
                "loss": float(learnt.loss),
                "gradient": summary(learnt.gradient),
                "means": np.asarray(after.norm2.mean[...]).tolist(),
                "variances": np.asarray(after.norm3.var[...]).tolist(),
            }
    x, _ = images_of(jnp.float32)
    model = shaken(network(jnp.float32, channels=12, core=0.2, fan_in="visible"))
    model.eval()
    golden["exported"] = {
        str(width): np.asarray(export.ordinary(model, (28, 28, 1), width).run(x)).tolist() for width in (0.25, 1.0)
    }
    model = network(jnp.float32, channels=6)
    start = {name: np.asarray(getattr(getattr(model, layer), field)[...]) for name, layer, field in START}
    np.savez(pathlib.Path(__file__).with_name("start.npz"), images=np.asarray(x), labels=np.asarray(labels), **start)
    path = pathlib.Path(__file__).with_name("lenet.json")
    path.write_text(json.dumps(golden))
    print(path.stat().st_size)


main()
