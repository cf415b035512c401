"""Reading a model: it is traced once, its ops stand in the program under marks, and what is between them is read.

Dimensions: N widths.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Primitive

from awn_jax import widths
from awn_jax.layers.op import Costs, Op, observing
from awn_jax.network.calls import in_scope, modules, names, scope_of, telling
from awn_jax.network.nodes import Network, Node
from awn_jax.network.plain import op_of, shape_of

# A batch of a size that is not mistaken for another axis.
BATCH = 3

# Stands in a program for one call of an op. It is looked at, and never runs.
_mark = Primitive("awn_op")
_mark.def_abstract_eval(lambda *inputs, number, result: result)

_INLINED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}


def read(model: nnx.Module, image_size: Sequence[int], width: widths.Width = 1) -> Network:
    """What a model is made of, in inference mode; nothing is computed.

    Args:
        model: called as `model(images, width)`; left as it is. Its weights may be tracers.
        image_size: height, width and planes of an image.
        width: α, in (0, 1].

    Raises:
        ValueError: if `width` is outside (0, 1], or the model cannot take such images.
    """
    graphdef, state = nnx.split(model)
    leaves, structure = jax.tree.flatten(state)
    facts = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype) for leaf in leaves)
    arguments = (graphdef, structure, facts, tuple(int(n) for n in image_size), widths.exact_width(width))
    try:
        found = _read_once(*arguments)
    except TypeError:
        # A model that keeps a list, or something else that cannot be a key.
        found = _read(*arguments)
    return bound(found, model)


def bound(network: Network, model: nnx.Module) -> Network:
    """A network with the layers of a model of the same structure, whose weights may be tracers."""
    own = modules(model)
    nodes = [
        dataclasses.replace(n, op=own.get(n.name, n.op)) if isinstance(n.op, nnx.Module) else n for n in network.nodes
    ]
    return dataclasses.replace(network, nodes=tuple(nodes))


def costs(model: nnx.Module, image_size: Sequence[int], at: Sequence[widths.Width]) -> Costs:
    """Parameters and multiply-accumulates of a model at N widths, from one look at it.

    Weights count where they exist and are used: a batch norm's scale and bias do, its running statistics do not, and it needs
    no multiply-accumulates, since it folds into the layer in front of it. Code that is no op is counted from a look at each
    width: the weights that meet data, and the products of convolutions and matrices.

    Args:
        model: called as `model(images, width)`.
        image_size: height, width and planes of an image.
        at: widths in (0, 1].

    Raises:
        ValueError: if a width is outside (0, 1].
    """
    network = read(model, image_size)
    known = network.costs(at)
    if not network.foreign:
        return known
    extra = [[node.costs for node in read(model, image_size, width).nodes] for width in at]
    params, macs = (np.asarray([sum(c[i] for c in one) for one in extra]) for i in (0, 1))
    return Costs(known.params + params, known.macs + macs)


class Cost(NamedTuple):
    """Of one sub-network.

    Attributes:
        params: weights that exist, biases, scales; not the running statistics.
        macs: multiply-accumulates of convolutions and dense layers for one example.
    """

    params: int
    macs: int


def cost(model: nnx.Module, image_size: Sequence[int], width: widths.Width) -> Cost:
    """Parameters and multiply-accumulates of a model at one width, see `costs`."""
    params, macs = costs(model, image_size, [width])
    return Cost(int(params[0]), int(macs[0]))


def _read(graphdef: Any, structure: Any, facts: Any, image_size: tuple[int, ...], width: widths.Width) -> Network:
    marks: list[_Mark] = []
    # As most callers give it: a model may multiply with it, which JAX cannot with a fraction.
    plain = float(width) if widths.exact_width(float(width)) == width else width

    def look(state: Any, images: jax.Array) -> jax.Array:
        model = telling(graphdef, state, in_scope)
        model.eval()
        paths = names(model)

        def observer(op: Op, inputs: tuple[jax.Array, ...], at: widths.AnyWidth, compute: Any) -> jax.Array:
            result = jax.eval_shape(compute)
            marks.append(_Mark(paths.get(id(op), type(op).__name__.lower()), op, _elsewhere(op, at, width)))
            aval = jax.core.ShapedArray(result.shape, result.dtype)
            return _mark.bind(*inputs, number=len(marks) - 1, result=aval)

        with observing(observer):
            return model(images, plain)

    images = jax.ShapeDtypeStruct((BATCH, *image_size), jnp.float32)
    program = jax.make_jaxpr(look)(jax.tree.unflatten(structure, facts), images)
    reader = _Reader(marks, image_size)
    given = [*([_WEIGHTS] * len(facts)), _Value(0)]
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    results = reader.read(program.jaxpr, known, given, "")
    if len(results) != 1 or not isinstance(results[0], _Value):
        raise ValueError(f"a model must give one array that depends on the images, got {len(results)} results")
    return Network(tuple(reader.nodes), int(results[0]), image_size)


_read_once = functools.lru_cache(maxsize=64)(_read)


class _Mark(NamedTuple):
    """One call of an op.

    Attributes:
        name: dotted path of the layer, or what the op is.
        op: that was called.
        problem: of the width that it was called with, or nothing.
    """

    name: str
    op: Op
    problem: str


def _elsewhere(op: Op, at: widths.AnyWidth, width: widths.Width) -> str:
    """What is wrong with the width that an op was called with, if anything: one without weights does not look at it."""
    if not isinstance(op, nnx.Module) or (not isinstance(at, widths.Drawn) and widths.exact_width(at) == width):
        return ""
    return f"is called with width={at} where the network has width={float(width):.4g}"


class _Value(int):
    """The number of a value that depends on the images."""


class _Weights:
    """Depends on weights, and on no images."""


_WEIGHTS = _Weights()


class _Reader:
    """Reads programs into nodes."""

    def __init__(self, marks: list[_Mark], image_size: tuple[int, ...]):
        self.marks, self.nodes, self.size = marks, list[Node](), image_size
        self._counted: set[Any] = set()

    def read(self, program: Jaxpr, known: dict[Any, Any], arguments: Sequence[Any], scope: str) -> list[Any]:
        """Adds the nodes of a program; returns its results: `_Value`, `_Weights` or constants."""
        known |= zip(program.invars, arguments, strict=True)

        def look_up(variable: Any) -> Any:
            return variable.val if isinstance(variable, Literal) else known[variable]

        for equation in program.eqns:
            operands = [look_up(variable) for variable in equation.invars]
            known |= zip(equation.outvars, self._equation(equation, operands, scope), strict=True)
        return [look_up(variable) for variable in program.outvars]

    def _equation(self, equation: JaxprEqn, operands: list[Any], scope: str) -> list[Any]:
        scope = scope_of(str(equation.source_info.name_stack)) or scope
        name, inputs = equation.primitive.name, tuple(operand for operand in operands if isinstance(operand, _Value))
        if equation.primitive is _mark:
            mark = self.marks[equation.params["number"]]
            return [self._add(mark.name, mark.op, mark.problem, inputs, equation)]
        inner = equation.params.get(_INLINED.get(name, ""))
        if inner is not None:
            inner, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            return self.read(inner, dict(zip(inner.constvars, consts, strict=True)), operands, scope)
        if not inputs:
            if any(isinstance(operand, _Weights) for operand in operands):
                return [_WEIGHTS] * len(equation.outvars)
            with jax.ensure_compile_time_eval():
                result = equation.primitive.bind(*operands, **equation.params)
            return list(result) if equation.primitive.multiple_results else [result]
        weights = [v for v, operand in zip(equation.invars, operands, strict=True) if isinstance(operand, _Weights)]
        constants = {i: operand for i, operand in enumerate(operands) if not isinstance(operand, _Value)}
        op = None if weights else op_of(equation, constants)
        if op is not None:
            return [self._add(name, op, "", inputs, equation)]
        # Code that is no op: one node for each of its results.
        used = [v for v in weights if v not in self._counted]
        self._counted.update(used)
        spent = sum(math.prod(shape_of(v)) for v in used), _products(equation) // BATCH
        title = f"{scope}: {name}" if scope else name
        found = []
        for number, variable in enumerate(equation.outvars):
            shape = shape_of(variable)[1:]
            self.nodes.append(Node(title, None, tuple(map(int, inputs)), shape, costs=(0, 0) if number else spent))
            found.append(_Value(len(self.nodes)))
        return found

    def _add(self, name: str, op: Op, problem: str, inputs: tuple[_Value, ...], equation: JaxprEqn) -> _Value:
        values = tuple(map(int, inputs))
        axes = [self.nodes[i - 1].axis if i else widths.Axis.whole(self.size[-1]) for i in values]
        axis = None
        known = [axis for axis in axes if axis is not None]
        try:
            if len(known) == len(axes):
                axis = op.births(*known)
            elif isinstance(op, nnx.Module):
                # What reads an unknown axis knows its own all the same.
                axis = op.births()
        except ValueError as error:
            problem = str(error)
        self.nodes.append(Node(name, op, values, shape_of(equation.outvars[0])[1:], axis, problem))
        return _Value(len(self.nodes))


def _products(equation: JaxprEqn) -> int:
    """Multiply-accumulates of a convolution or a matrix product."""
    result = math.prod(shape_of(equation.outvars[0]))
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return result * math.prod(shape_of(equation.invars[0])[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel, spec = shape_of(equation.invars[1]), equation.params["dimension_numbers"].rhs_spec
        return result * math.prod(kernel) // kernel[spec[0]]
    return 0
