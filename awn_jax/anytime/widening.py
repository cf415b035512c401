"""Answers at one width that can be widened to the next.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
from fractions import Fraction

import jax
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.anytime import programs
from awn_jax.anytime.growth import Kept
from awn_jax.anytime.programs import Images, Structure, Weights


@dataclasses.dataclass(frozen=True)
class State:
    """How far a batch has come. `widen` makes a new one and leaves the old one valid.

    Attributes:
        width: α that the outputs belong to.
        images: [B, H, W, P].
        kept: values inside the network that a wider one reads, by number; none at full width.
        outputs: [B, ...].
        macs: multiply-accumulates spent on one image since the start.
        weights: of the network.
        structure: of the network.
    """

    width: widths.Width
    images: Images
    kept: Kept
    outputs: Float[Array, "B ..."]
    macs: int
    weights: Weights
    structure: Structure


def start(model: nnx.Module, x: Images, width: widths.Width) -> tuple[Float[Array, "B ..."], State]:
    """The outputs at one width, and a state from which `widen` goes on.

    Args:
        model: any-width network made of the library's ops alone, called as `model(x, width)`; it is run in inference mode, and
            left as it is. Later changes of its weights do not reach the state.
        x: images [B, H, W, P] as the network expects them, normalised.
        width: α, in (0, 1].

    Returns:
        The outputs at `width`, and the state.

    Raises:
        ValueError: if `width` is outside (0, 1] or the network does not take such images.
        UnknownLayerError: if the network holds code that is none of the library's ops; it is named.
        TypeError: if a narrow network is no prefix of the wide one, the layer is named; or if the images are not floats.

    Example:
        >>> logits, state = start(model, images, 0.25)
        >>> logits, state = widen(state, 1)
        >>> logits.shape, state.width
        ((2, 10), 1)
    """
    widths.exact_width(width)
    return begin(*programs.split(model), jax.device_put(programs.checked(x)), width)


def begin(
    structure: Structure, weights: Weights, x: Images, width: widths.Width
) -> tuple[Float[Array, "B ..."], State]:
    """`start`, for a model that is already split."""
    exact = widths.exact_width(width)
    step = programs.step(structure, exact, None, x.shape, x.dtype)
    outputs, kept = step(weights, x, {})
    return outputs, State(width, x, kept, outputs, _macs(structure, x, exact), weights, structure)


def widen(state: State, width: widths.Width) -> tuple[Float[Array, "B ..."], State]:
    """The outputs at a larger width: computes only the channels born between the two, and what they add to the outputs.

    Args:
        state: of `start` or `widen`.
        width: α, in (state.width, 1].

    Returns:
        The outputs that a direct run at `width` gives, up to rounding, and the state to go on from.

    Raises:
        ValueError: if `width` is not above the state's, or above 1.
        TypeError: if the model does not run the same ops at both widths.
    """
    after, exact = widths.exact_width(state.width), widths.exact_width(width)
    if exact <= after:
        raise ValueError(f"width must be above the state's, {state.width}, got {width}")
    images, structure = state.images, state.structure
    step = programs.step(structure, exact, after, images.shape, images.dtype)
    outputs, kept = step(state.weights, images, state.kept)
    macs = state.macs + _macs(structure, images, exact) - _macs(structure, images, after)
    return outputs, dataclasses.replace(state, width=width, kept=kept, outputs=outputs, macs=macs)


def _macs(structure: Structure, x: Images, width: Fraction) -> int:
    return programs.macs(structure, x.shape[1:], width)
