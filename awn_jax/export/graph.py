"""An ordinary network: a list of convolutions, activations, poolings and dense layers, with no width left in it.

Dimensions: B batch, H height, W width, P planes, C inputs, K outputs.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun
from jaxtyping import Array, Float

Kind = typing.Literal["conv", "affine", "dense", "head", "relu", "max_pool", "add", "other"]


class ExportError(ValueError):
    """A network or a file cannot be exported or read; the message says what and why."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        kind: `conv` (kernel [kh, kw, C, K], bias [K], settings strides and padding), `affine` (scale [C], bias [C]), `dense`
            on the last axis (kernel [C, K], bias [K]), `head` (kernel [C, pixels, K], bias [K]), `relu`, `max_pool` (settings
            window and strides, no padding), `add`, or `other`: an operation that only JAX knows (settings program, a
            jaxpr of one equation, and operands, None where they are inputs).
        inputs: numbers of values: 0 is the images, n the result of step n − 1.
        name: of the layer; empty for what has no weights.
        arrays: weights by name.
        settings: by name.
    """

    kind: Kind
    inputs: tuple[int, ...]
    name: str = ""
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def operation(self) -> str:
        """The kind, or the name of an operation that only JAX knows."""
        return self.settings["program"].jaxpr.eqns[0].primitive.name if self.kind == "other" else self.kind


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network of one width.

    Attributes:
        image_size: height, width and planes of an image.
        steps: in order; the last one gives the logits.
        width: α that it was made for.
        mean, std: of each plane, to be taken out of images in which white is 1; empty if not known.
        batch: the symbolic batch size that it was traced with, which `other` steps need; None without such steps.
    """

    image_size: tuple[int, int, int]
    steps: tuple[Step, ...]
    width: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    batch: Any = None

    def run(self, x: Float[Array, "B H W P"]) -> Float[Array, "B classes"]:
        """The logits of normalised images, in JAX."""
        values: list[Any] = [x]
        for step in self.steps:
            values.append(_run(step, [values[i] for i in step.inputs]))
        return values[-1]

    def uses(self, value: int) -> int:
        """How many steps read a value."""
        return sum(step.inputs.count(value) for step in self.steps)


def _run(step: Step, inputs: list[Array]) -> Array:
    (x, *_), arrays, settings = inputs, step.arrays, step.settings
    match step.kind:
        case "conv":
            dimensions = ("NHWC", "HWIO", "NHWC")
            kernel = jnp.asarray(arrays["kernel"])
            y = lax.conv_general_dilated(
                x, kernel, settings["strides"], settings["padding"], dimension_numbers=dimensions
            )
            return y + arrays["bias"]
        case "affine":
            return x * arrays["scale"] + arrays["bias"]
        case "dense":
            return x @ jnp.asarray(arrays["kernel"]) + arrays["bias"]
        case "head":
            kernel = jnp.asarray(arrays["kernel"])
            return jnp.einsum("bpc,cpk->bk", x.reshape(x.shape[0], kernel.shape[1], -1), kernel) + arrays["bias"]
        case "relu":
            return jnp.maximum(x, 0)
        case "max_pool":
            window, strides = ((1, *settings[key], 1) for key in ("window", "strides"))
            return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")
        case "add":
            return inputs[0] + inputs[1]
    given = iter(inputs)
    operands = [next(given) if known is None else known for known in settings["operands"]]
    return evaluate(settings["program"], operands)[0]


def evaluate(program: ClosedJaxpr, operands: Sequence[Any]) -> list[Any]:
    """The results of a program of one equation, from that equation's operands."""
    variables = program.jaxpr.eqns[0].invars
    given = {v: operand for v, operand in zip(variables, operands, strict=True) if not isinstance(v, Literal)}
    return list(jaxpr_as_fun(program)(*(given[v] for v in program.jaxpr.invars)))


def unsupported(step: Step, target: str) -> ExportError:
    """The error for an operation that a target does not have."""
    return ExportError(
        f"--to={target} knows convolutions, batch norms, ReLU, max pooling, sums and dense layers; the network also has "
        f"{step.operation!r}. --to=stablehlo takes any operation"
    )
