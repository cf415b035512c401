"""Answers at one width that can be widened to the next.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
import functools
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import inspection, platform, widths
from awn_jax.anytime import rows
from awn_jax.models import AnyWidthClassifier


class Programs:
    """The compiled steps of one network structure, from one width to another; weights and images are arguments.

    The weights are a flat tuple: to flatten a model's state anew at every call costs as much as the call.
    """

    def __init__(self, graphdef: Any, structure: Any):
        self._graphdef, self._structure = graphdef, structure
        self._steps: dict[tuple[float, float | None], Any] = {}
        self._macs: dict[tuple[tuple[int, ...], float], int] = {}

    def step(self, width: float, after: float | None) -> Any:
        """`(params, images, inputs, logits) -> (logits, inputs)`, compiled once for each shape."""
        if (width, after) not in self._steps:

            def step(params: Any, images: Array, inputs: rows.Inputs, logits: Array | None) -> Any:
                model = self._model(params)
                model.eval()
                return rows.forward(model, images, width, after, inputs, logits)

            self._steps[width, after] = jax.jit(step, compiler_options=platform.compiler_options())
        return self._steps[width, after]

    def macs(self, params: Any, image_size: tuple[int, ...], width: float) -> int:
        """Multiply-accumulates of a direct run for one image."""
        if (image_size, width) not in self._macs:
            height, breadth, planes = image_size
            cost = inspection.cost(self._model(params), (height, breadth, planes), width)
            self._macs[image_size, width] = cost.macs
        return self._macs[image_size, width]

    def _model(self, params: Any) -> AnyWidthClassifier:
        return nnx.merge(self._graphdef, jax.tree.unflatten(self._structure, params))


# Keyed by the structure, so that `start` compiles nothing for a model that it has seen, whatever its weights are by now.
_programs = functools.lru_cache(maxsize=64)(Programs)


@dataclasses.dataclass(frozen=True)
class State:
    """How far a batch has come. `widen` makes a new one and leaves the old one valid.

    Attributes:
        width: α that the logits belong to.
        images: [B, H, W, P].
        inputs: what each triangular layer has read, in the order of their calls; None where it is the images.
        logits: [B, classes].
        macs: multiply-accumulates spent on one image since the start.
        params: weights of the network.
        programs: compiled steps.
    """

    width: float
    images: Array
    inputs: rows.Inputs
    logits: Array
    macs: int
    params: Any
    programs: Programs


def start(
    model: AnyWidthClassifier, x: Float[Array, "B H W P"], width: widths.Width
) -> tuple[Float[Array, "B classes"], State]:
    """The logits at one width, and a state from which `widen` goes on.

    Args:
        model: any-width classifier; it is run in inference mode, and left as it is. Later changes of its weights do not
            reach the state.
        x: images as the network expects them, normalised.
        width: α, in (0, 1].

    Returns:
        The logits at `width`, and the state.

    Raises:
        ValueError: if `width` is outside (0, 1] or the images have another size than the network was made for.

    Example:
        >>> model = LeNet3C1L((28, 28, 1), 10, rngs=nnx.Rngs(0))
        >>> logits, state = start(model, jnp.zeros((1, 28, 28, 1)), 0.25)
        >>> logits, state = widen(state, 1)
        >>> state.width
        1.0
    """
    widths.exact_width(width)
    return begin(*split(model), x, float(width))


def split(model: AnyWidthClassifier) -> tuple[Programs, Any]:
    """The compiled steps of a model's structure, and its weights as they are now."""
    graphdef, state = nnx.split(model)
    params, structure = jax.tree.flatten(state)
    return _programs(graphdef, structure), tuple(params)


def begin(programs: Programs, params: Any, x: Array, width: float) -> tuple[Array, State]:
    """`start`, for a network that is already split."""
    logits, inputs = programs.step(width, None)(params, x, (), None)
    return logits, State(width, x, inputs, logits, programs.macs(params, x.shape[1:], width), params, programs)


def widen(state: State, width: widths.Width) -> tuple[Float[Array, "B classes"], State]:
    """The logits at a larger width: computes only the channels born between the two, and what they add to the logits.

    Args:
        state: of `start` or `widen`.
        width: α, in (state.width, 1].

    Returns:
        The logits that a direct run at `width` gives, up to rounding, and the state to go on from.

    Raises:
        ValueError: if `width` is not above the state's, or above 1.
        TypeError: if a layer of the network has weights but no method `rows`.
    """
    if widths.exact_width(width) <= widths.exact_width(state.width):
        raise ValueError(f"width must be above the state's, {state.width}, got {width}")
    new, programs = float(width), state.programs
    logits, inputs = programs.step(new, state.width)(state.params, state.images, state.inputs, state.logits)
    size = state.images.shape[1:]
    added = programs.macs(state.params, size, new) - programs.macs(state.params, size, state.width)
    return logits, dataclasses.replace(state, width=new, inputs=inputs, logits=logits, macs=state.macs + added)
