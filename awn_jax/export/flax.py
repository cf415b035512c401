"""A plain Flax NNX network: a Python file that needs nothing but Flax, and its weights in an .npz file beside it."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from awn_jax.export.graph import Graph, Step, unsupported

SOURCE = '''"""An ordinary network, of width {width} of an any-width one; batch norms are folded into the convolutions.

    net = load()
    logits = net(images)  # [batch, {size}] float32, where white is 1{preparation}
"""

import pathlib

import jax.numpy as jnp
import numpy as np
from flax import nnx


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
{layers}

    def __call__(self, x):
{calls}


def load(path=pathlib.Path(__file__).with_suffix(".npz")):
    """The network with its weights."""
    net = Net(nnx.Rngs(0))
    with np.load(path) as weights:
        for name in weights:
            variable = net
            for part in name.split("/"):
                variable = getattr(variable, part)
            if variable.shape != weights[name].shape:
                raise ValueError(f"{{path}}: {{name}} must have shape {{variable.shape}}, got {{weights[name].shape}}")
            variable[...] = jnp.asarray(weights[name])
    return net
'''


def save(graph: Graph, path: pathlib.Path) -> None:
    """Writes `path`, a Python file with the classes `Net` and `load`, and the weights, of the same name with `.npz`.

    Raises:
        ExportError: if the network has an operation that is not exported.
    """
    layers: list[str] = []
    calls: list[str] = []
    weights: dict[str, Any] = {}
    last = {index: number for number, step in enumerate(graph.steps, 1) for index in step.inputs}
    names = {0: "x"}
    for number, step in enumerate(graph.steps, 1):
        inputs = [names[i] for i in step.inputs]
        # A value that is still needed keeps its name.
        busy = {names[i] for i in names if last.get(i, 0) > number}
        names[number] = "x" if "x" not in busy else f"x{number}"
        made, call, arrays = _lines(step, inputs)
        layers += made
        calls.append(f"return {call}" if number == len(graph.steps) else f"{names[number]} = {call}")
        weights |= arrays
    preparation = f", (x - {graph.mean}) / {graph.std}" if graph.mean else ""
    source = SOURCE.format(
        width=graph.width,
        size=", ".join(map(str, graph.image_size)),
        preparation=preparation,
        layers="\n".join(f"        {line}" for line in layers),
        calls="\n".join(f"        {line}" for line in calls),
    )
    path.write_text(source)
    np.savez(path.with_suffix(".npz"), **weights)


def _lines(step: Step, inputs: list[str]) -> tuple[list[str], str, dict[str, np.ndarray]]:
    """What makes a step's layer, what calls it, and its weights by the path of their variables."""
    (x, *_), arrays, name = inputs, step.arrays, step.name.replace(".", "_")
    match step.kind:
        case "conv":
            *taps, reads, writes = arrays["kernel"].shape
            pads = [tuple(pair) for pair in step.settings["padding"]]
            padding = "VALID" if pads == [(0, 0), (0, 0)] else pads
            strides = f"strides={step.settings['strides']}, " if set(step.settings["strides"]) != {1} else ""
            made = f"nnx.Conv({reads}, {writes}, {tuple(taps)}, {strides}padding={padding!r}, rngs=rngs)"
            return [f"self.{name} = {made}"], f"self.{name}({x})", _named(name, arrays)
        case "dense":
            made = "nnx.Linear({}, {}, rngs=rngs)".format(*arrays["kernel"].shape)
            return [f"self.{name} = {made}"], f"self.{name}({x})", _named(name, arrays)
        case "head":
            # A flatten of [height, width, channels] is pixel-major.
            channels, pixels, classes = arrays["kernel"].shape
            kernel = arrays["kernel"].transpose(1, 0, 2).reshape(-1, classes)
            made = f"self.{name} = nnx.Linear({channels * pixels}, {classes}, rngs=rngs)"
            weights = {"kernel": kernel, "bias": arrays["bias"]}
            return [made], f"self.{name}({x}.reshape({x}.shape[0], -1))", _named(name, weights)
        case "affine":
            lines = [f"self.{name}_{key} = nnx.Param(jnp.zeros({len(arrays[key])}))" for key in arrays]
            call = f"{x} * self.{name}_scale[...] + self.{name}_bias[...]"
            return lines, call, {f"{name}_{key}": array for key, array in arrays.items()}
        case "relu":
            return [], f"nnx.relu({x})", {}
        case "max_pool":
            return [], "nnx.max_pool({}, {}, {})".format(x, step.settings["window"], step.settings["strides"]), {}
        case "add":
            return [], " + ".join(inputs), {}
    raise unsupported(step, "flax")


def _named(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}/{key}": array for key, array in arrays.items()}
