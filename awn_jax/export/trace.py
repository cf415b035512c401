"""From an any-width classifier to an ordinary network: its program at one width, layer by layer."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var
from jaxtyping import Array

from awn_jax import widths
from awn_jax.export.graph import ExportError, Graph, Step, evaluate
from awn_jax.layers import AnyWidthHead, BatchNorm, CalibratedBatchNorm, Conv
from awn_jax.layers.sliced import Sliced
from awn_jax.models import AnyWidthClassifier
from awn_jax.rewire import with_layers

MARK = "awn_layer_"


def ordinary(
    model: AnyWidthClassifier,
    image_size: tuple[int, int, int],
    width: widths.Width,
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Graph:
    """The ordinary network that a classifier is at one width: only that width's weights, batch norms folded into the
    convolutions in front of them.

    Args:
        model: any-width classifier; its running statistics are used, and it is left as it is.
        image_size: height, width and planes.
        width: α, in (0, 1].
        mean: of each plane, to be kept with the network.
        std: likewise.

    Raises:
        ValueError: if `width` is outside (0, 1].
        ExportError: if a layer has weights and is none of `awn_jax.layers`.
    """
    widths.exact_width(width)
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *image_size), jnp.float32)
    layers: list[tuple[str, nnx.Module]] = []

    def marked(name: str, layer: nnx.Module) -> Any:
        if not isinstance(layer, Sliced | BatchNorm | CalibratedBatchNorm | AnyWidthHead):
            if any(isinstance(value, nnx.Variable) for value in vars(layer).values()):
                raise ExportError(f"{name} ({type(layer).__name__}) has weights and is none of the library's layers")
            return None
        mark = f"{MARK}{len(layers)}"
        layers.append((name, layer))

        def call(x: Array, at: widths.Width = 1) -> Array:
            def run(x: Array) -> Array:
                return layer(x, width)

            run.__name__ = mark
            return jax.jit(run)(x)

        return call

    model = nnx.clone(model)
    model.eval()
    rewired = with_layers(model, marked)
    traced = jax.make_jaxpr(lambda x: rewired(x, width))(images)
    steps = _Steps(layers, width)
    (result,) = steps.read(traced.jaxpr, dict(zip(traced.jaxpr.constvars, traced.consts, strict=True)), [0])
    if result != len(steps.found):
        raise ExportError("the last operation of the network must give its logits")
    graph = Graph(image_size, tuple(steps.found), float(width), tuple(mean), tuple(std), batch)
    return _pruned(_folded(graph))


class _Value(int):
    """The number of a value that depends on the images."""


class _Steps:
    """Reads programs into steps."""

    def __init__(self, layers: list[tuple[str, nnx.Module]], width: widths.Width):
        self.layers, self.width, self.found = layers, width, list[Step]()

    def read(self, jaxpr: Jaxpr, known: dict[Var, Any], arguments: Sequence[Any]) -> list[Any]:
        """Adds the steps of a program; returns its results, as `_Value`s where they depend on the images."""
        known |= zip(jaxpr.invars, map(self._as_value, arguments), strict=True)

        def look_up(variable: Any) -> Any:
            return variable.val if isinstance(variable, Literal) else known[variable]

        for equation in jaxpr.eqns:
            operands = [look_up(variable) for variable in equation.invars]
            known |= zip(equation.outvars, self._equation(jaxpr, equation, operands), strict=True)
        return [look_up(variable) for variable in jaxpr.outvars]

    @staticmethod
    def _as_value(argument: Any) -> Any:
        return _Value(argument) if type(argument) is int else argument

    def _equation(self, jaxpr: Jaxpr, equation: Any, operands: list[Any]) -> list[Any]:
        values = [operand for operand in operands if isinstance(operand, _Value)]
        name = equation.primitive.name
        mark = str(equation.params.get("name", ""))
        if mark.startswith(MARK):
            shape = equation.invars[operands.index(values[0])].aval.shape
            return [self._add(_layer_step(*self.layers[int(mark.removeprefix(MARK))], self.width, values[0], shape))]
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if inner is not None and name in ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"):
            return self.read(inner.jaxpr, dict(zip(inner.jaxpr.constvars, inner.consts, strict=True)), operands)
        if not values:
            return evaluate(_alone(jaxpr, equation), operands)
        return [self._add(self._plain_step(jaxpr, equation, operands, values))]

    def _plain_step(self, jaxpr: Jaxpr, equation: Any, operands: list[Any], values: list[_Value]) -> Step:
        name, inputs = equation.primitive.name, tuple(int(value) for value in values)
        if name == "max" and len(values) == 1 and any(np.ndim(o) == 0 and o == 0 for o in operands if o not in values):
            return Step("relu", inputs)
        if name == "add" and len(values) == 2 and equation.invars[0].aval.shape == equation.invars[1].aval.shape:
            return Step("add", inputs)
        if name == "reduce_max" and (pool := self._pool_by_reshape(equation, inputs[0])):
            return pool
        if name == "reduce_window_max" and all(low == high == 0 for low, high in equation.params["padding"]):
            window, strides = (tuple(equation.params[key]) for key in ("window_dimensions", "window_strides"))
            if len(window) == 4 and {window[0], window[3], strides[0], strides[3]} == {1}:
                return Step("max_pool", inputs, settings={"window": window[1:3], "strides": strides[1:3]})
        given = [None if isinstance(operand, _Value) else operand for operand in operands]
        return Step("other", inputs, settings={"program": _alone(jaxpr, equation), "operands": given})

    def _pool_by_reshape(self, equation: Any, value: int) -> Step | None:
        """`layers.max_pool`: rows and columns that fill no window cut off, a reshape that sets windows apart, a maximum."""
        apart = equation.invars[0].aval.shape
        if tuple(equation.params["axes"]) != (2, 4) or len(apart) != 6:
            return None
        source = value
        for name in ("reshape", "slice"):
            step = self.found[source - 1] if source else None
            if step and step.operation == name:
                (before,) = step.settings["program"].jaxpr.eqns
                whole = before.invars[0].aval.shape
                if name == "slice" and (any(before.params["start_indices"]) or len(whole) != 4):
                    break
                source = step.inputs[0]
        whole = [size // window for size, window in zip(whole[1:3], (apart[2], apart[4]), strict=True)]
        window = (apart[2], apart[4])
        if whole != [apart[1], apart[3]]:
            return None
        return Step("max_pool", (source,), settings={"window": window, "strides": window})

    def _add(self, step: Step) -> _Value:
        self.found.append(step)
        return _Value(len(self.found))


def _alone(jaxpr: Jaxpr, equation: Any) -> ClosedJaxpr:
    """A program of one equation of a larger one."""
    variables = list(dict.fromkeys(v for v in equation.invars if not isinstance(v, Literal)))
    return ClosedJaxpr(jaxpr.replace(constvars=[], invars=variables, outvars=equation.outvars, eqns=[equation]), ())


def _layer_step(name: str, layer: nnx.Module, width: widths.Width, value: int, shape: tuple[Any, ...]) -> Step:
    """A layer's weights at one width, zeros where none exist."""
    inputs = (int(value),)
    if isinstance(layer, BatchNorm | CalibratedBatchNorm):
        mean, var, scale, bias = (np.asarray(values, np.float64) for values in layer.at_inference(width))
        factor = scale / np.sqrt(var + layer.epsilon)
        return Step("affine", inputs, name, {"scale": factor, "bias": bias - mean * factor})
    if isinstance(layer, AnyWidthHead):
        kernel = np.asarray(layer.kernel[...], np.float64)[: layer.inputs.active(width)]
        return Step("head", inputs, name, {"kernel": kernel, "bias": np.asarray(layer.bias[...], np.float64)})
    assert isinstance(layer, Sliced)
    reads, writes = layer.inputs.active(width), layer.outputs.active(width)
    exists = np.arange(reads)[:, None] < np.asarray(layer.visible(width))
    kernel = np.where(exists, np.asarray(layer.kernel[...], np.float64)[..., :reads, :writes], 0)
    bias = np.zeros(writes) if layer.bias is None else np.asarray(layer.bias[...], np.float64)[:writes]
    if not isinstance(layer, Conv):
        return Step("dense", inputs, name, {"kernel": kernel, "bias": bias})
    strides = (layer.strides,) * 2 if isinstance(layer.strides, int) else tuple(layer.strides)
    padding = tuple(lax.padtype_to_pads(shape[1:3], kernel.shape[:2], strides, layer.padding))
    padding = tuple((int(low), int(high)) for low, high in padding)
    return Step("conv", inputs, name, {"kernel": kernel, "bias": bias}, {"strides": strides, "padding": padding})


def _folded(graph: Graph) -> Graph:
    """Multiplies each affine step into the convolution that it alone reads."""
    steps = list(graph.steps)
    renamed: dict[int, int] = {}
    for at, step in enumerate(steps):
        step = dataclasses.replace(step, inputs=tuple(renamed.get(i, i) for i in step.inputs))
        steps[at] = step
        source = step.inputs[0]
        if step.kind == "affine" and source and steps[source - 1].kind == "conv" and graph.uses(source) == 1:
            conv, scale = steps[source - 1], step.arrays["scale"]
            bias = conv.arrays["bias"] * scale + step.arrays["bias"]
            arrays = {"kernel": conv.arrays["kernel"] * scale, "bias": bias}
            steps[source - 1] = dataclasses.replace(conv, arrays=arrays)
            renamed[at + 1] = source
    return dataclasses.replace(graph, steps=tuple(steps))


def _pruned(graph: Graph) -> Graph:
    """Leaves out the steps that nothing reads, numbers the others anew and rounds the weights to float32."""
    needed = {len(graph.steps)}
    for at in range(len(graph.steps), 0, -1):
        if at in needed:
            needed.update(graph.steps[at - 1].inputs)
    number = {old: new for new, old in enumerate(sorted(needed | {0}))}
    steps = []
    for at, step in enumerate(graph.steps, 1):
        if at in needed:
            arrays = {name: np.asarray(array, np.float32) for name, array in step.arrays.items()}
            steps.append(dataclasses.replace(step, inputs=tuple(number[i] for i in step.inputs), arrays=arrays))
    return dataclasses.replace(graph, steps=tuple(steps))
