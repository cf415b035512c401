"""An ordinary network: a list of convolutions, activations, poolings and dense layers, with no width left in it.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from awn_jax.export.checks import ExportError
from awn_jax.export.evaluate import evaluate

# Numbers of one value of a network, for one image.
LARGEST = 1 << 28


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One operation.

    Attributes:
        kind: one of `kinds.KINDS`, which says what arrays and settings it has.
        inputs: numbers of values: 0 is the images, n the result of step n, counted from 1.
        name: of the layer, unlike those of all others; empty for what has no weights.
        arrays: weights by name.
        settings: by name.
    """

    kind: str
    inputs: tuple[int, ...]
    name: str = ""
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network of one width.

    Attributes:
        image_size: height, width and planes of an image.
        steps: in order; the last one gives the logits.
        width: α that it was made for.
        mean, std: of each plane, to be taken out of images in which white is 1; empty if not known.
    """

    image_size: tuple[int, int, int]
    steps: tuple[Step, ...]
    width: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def run(self, x: Float[Array, "B H W P"]) -> Float[Array, "B ..."]:
        """The logits of normalised images, in JAX."""
        values: list[Array] = [jnp.asarray(x, jnp.float32)]
        for step in self.steps:
            values.append(evaluate(step.kind, step.arrays, step.settings, [values[i] for i in step.inputs]))
        return values[-1]

    @functools.cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of every value for one image; that of the images comes first.

        Raises:
            ExportError: if a step does not fit what it reads.
        """
        found = [jax.ShapeDtypeStruct((1, *self.image_size), jnp.float32)]
        for number, step in enumerate(self.steps, 1):
            run = functools.partial(evaluate, step.kind, step.arrays, step.settings)
            try:
                found.append(jax.eval_shape(run, [found[i] for i in step.inputs]))
            except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError) as error:
                reason = " ".join(str(error).split())[:200]
                raise ExportError(
                    f"step {number} ({step.name or step.kind}) does not fit what it reads: {reason}"
                ) from None
        return tuple(value.shape[1:] for value in found)

    def check(self) -> None:
        """Makes sure that steps fit what they read, and that no value is larger than any network's.

        Raises:
            ExportError: if not.
        """
        for number, shape in enumerate(self.shapes):
            if not 0 < math.prod(shape) <= LARGEST:
                raise ExportError(
                    f"value {number} must have between 1 and {LARGEST:,} numbers for an image, got shape {shape}"
                )
