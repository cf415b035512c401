"""A plain Flax NNX network: a Python file that needs nothing but Flax, and its weights in an .npz file beside it."""

import io
import keyword
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx

from awn_jax.export import manifest, pointwise
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph, Step
from awn_jax.export.lowering import unlike

SOURCE = '''"""An ordinary network: width {width} of an any-width one, with batch norms folded into the layers in front of them.

    net = load()
    logits = net(images)  # [batch, {size}] float32, where white is 1{preparation}

This file is code, which runs when it is imported: import none of unknown origin.
"""

import functools
import pathlib

{imports}import jax.numpy as jnp
import numpy as np
from flax import nnx


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
{layers}

    def __call__(self, x):
{calls}


def load(path=pathlib.Path(__file__).with_suffix(".npz")):
    """The network with its weights, which are data; this file itself is code, which runs when it is imported.

    Raises ValueError with the name and the shape of an array that is missing, unknown or of another shape.
    """
    # Nothing is drawn: all weights come from the file.
    net = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    wanted = {{"/".join(place): place for place, _ in nnx.to_flat_state(nnx.state(net))}}
    with np.load(path) as file:
        given = {{name: file[name] for name in file.files}}
    for name in given.keys() - wanted.keys():
        raise ValueError(f"{{path}} holds {{name}} of shape {{given[name].shape}}, which the network does not have")
    for name, (*layers, attribute) in wanted.items():
        layer = functools.reduce(getattr, layers, net)
        variable = getattr(layer, attribute)
        if name not in given:
            raise ValueError(f"{{path}} lacks {{name}} of shape {{variable.shape}}")
        if given[name].shape != variable.shape:
            raise ValueError(f"{{path}}: {{name}} must have shape {{variable.shape}}, got {{given[name].shape}}")
        setattr(layer, attribute, type(variable)(jnp.asarray(given[name])))
    return net
'''


def save(graph: Graph, path: pathlib.Path) -> None:
    """Writes `path`, a Python file with the class `Net` and a function `load`; the weights, of the same name with `.npz`; and
    their manifest.

    Args:
        graph: of `lowered`.
        path: of the Python file.

    Raises:
        ExportError: if `path` does not end in `.py`.
    """
    if path.suffix != ".py":
        raise ExportError(f"path of a Flax network must end in .py, got {path}")
    writer = _Writer()
    calls = []
    last = {value: number for number, step in enumerate(graph.steps, 1) for value in step.inputs}
    names = {0: "x"}
    for number, step in enumerate(graph.steps, 1):
        # A value that is still to be read keeps its name.
        busy = {names[value] for value in names if last.get(value, 0) > number}
        names[number] = "x" if "x" not in busy else f"x{number}"
        call = writer.call(step, [names[value] for value in step.inputs], len(graph.shapes[step.inputs[0]]))
        calls.append(f"return {call}" if number == len(graph.steps) else f"{names[number]} = {call}")
    source = SOURCE.format(
        width=graph.width,
        size=", ".join(map(str, graph.image_size)),
        preparation=f", less {graph.mean}, over {graph.std}, plane by plane" if graph.mean else "",
        imports="import jax\n" if any("jax." in call for call in calls) else "",
        layers="\n".join(f"        {line}" for line in writer.layers or ["pass"]),
        calls="\n".join(f"        {line}" for line in calls),
    )
    weights = io.BytesIO()
    np.savez(weights, **writer.weights)  # type: ignore[arg-type]
    manifest.write(path, "flax", graph, source.encode(), weights.getvalue())


class _Writer:
    """Collects the lines that make layers, and their weights by the path of their variables."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self.weights: dict[str, np.ndarray] = {}
        self._taken = set(dir(nnx.Module))

    def call(self, step: Step, inputs: Sequence[str], rank: int) -> str:
        """Adds a step's layer, if it needs one; returns the code that calls it.

        Args:
            step: the step.
            inputs: code for what it reads.
            rank: number of axes of its first input for one image.
        """
        (x, *_), arrays, settings = inputs, step.arrays, step.settings
        kernel = arrays.get("kernel", np.zeros(()))
        match step.kind:
            case "conv":
                *taps, reads, writes = kernel.shape
                return self._layer(step, f"nnx.Conv({reads}, {writes}, {tuple(taps)}{_options(settings)}", arrays, x)
            case "depthwise":
                *taps, channels = kernel.shape
                made = f"nnx.Conv({channels}, {channels}, {tuple(taps)}{_options(settings)}"
                weights = {**arrays, "kernel": kernel[:, :, None]}
                return self._layer(step, f"{made}, feature_group_count={channels}", weights, x)
            case "dense":
                return self._layer(step, "nnx.Linear({}, {}".format(*kernel.shape), arrays, x)
            case "head":
                # A flatten of [height, width, channels] is pixel-major.
                channels, pixels, classes = kernel.shape
                weights = {**arrays, "kernel": kernel.transpose(1, 0, 2).reshape(-1, classes)}
                flat = x if rank == 1 else f"{x}.reshape({x}.shape[0], -1)"
                return self._layer(step, f"nnx.Linear({channels * pixels}, {classes}", weights, flat)
            case "affine":
                spread = (1,) * rank + (-1,)
                scale, bias = (
                    self._array(f"{step.name}_{key}", arrays[key].reshape(spread)) for key in ("scale", "bias")
                )
                return f"{x} * {scale} + {bias}"
            case "activation":
                return f"nnx.{settings['function']}({x})"
            case "pointwise":
                operands = pointwise.filled(settings["operands"], inputs, lambda c: f"({c!r})" if c < 0 else repr(c))
                return pointwise.FUNCTIONS[settings["function"]].source.format(*operands)
            case "max_pool" | "mean_pool":
                function = "nnx.max_pool" if step.kind == "max_pool" else "nnx.avg_pool"
                return f"{function}({x}, {settings['window']}{_options(settings)})"
            case "upsample":
                rows, columns = settings["factor"]
                return f"{x}.repeat({rows}, 1).repeat({columns}, 2)"
            case "mean" | "sum":
                return f"{x}.{step.kind}((1, 2){', keepdims=True' if settings['keepdims'] else ''})"
            case "reshape":
                return f"{x}.reshape({', '.join([f'{x}.shape[0]', *map(str, settings['pixels']), f'{x}.shape[-1]'])})"
            case "add":
                return " + ".join(inputs)
            case "concat":
                order = self._array("order", np.asarray(settings["order"], np.int32))
                return f"jnp.concatenate([{', '.join(inputs)}], -1)[..., {order}]"
            case "identity":
                return x
        raise ExportError(f"a Flax network has no {step.kind}")

    def _layer(self, step: Step, made: str, weights: Any, x: str) -> str:
        name = self._name(step.name)
        self.layers.append(f"self.{name} = {made}, rngs=rngs)")
        self.weights |= {f"{name}/{key}": array for key, array in weights.items()}
        return f"self.{name}({x})"

    def _array(self, name: str, values: np.ndarray) -> str:
        name = self._name(name)
        kind, dtype = ("nnx.Param", "") if values.dtype == np.float32 else ("nnx.Variable", f", jnp.{values.dtype}")
        self.layers.append(f"self.{name} = {kind}(jnp.zeros({values.shape}{dtype}))")
        self.weights[name] = values
        return f"self.{name}[...]"

    def _name(self, name: str) -> str:
        """A name for an attribute, which no other has."""
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain.isidentifier() or keyword.iskeyword(plain) or plain.startswith("_"):
            plain = f"layer_{plain}"
        found = unlike(plain, self._taken)
        self._taken.add(found)
        return found


def _options(settings: Any) -> str:
    """The arguments of a window: strides, padding, dilation."""
    pads = list(settings["padding"])
    options = f", strides={settings['strides']}" if set(settings["strides"]) != {1} else ""
    options += ', padding="VALID"' if pads == [(0, 0), (0, 0)] else f", padding={pads}"
    dilation = settings.get("dilation", (1, 1))
    return options + (f", kernel_dilation={dilation}" if set(dilation) != {1} else "")
