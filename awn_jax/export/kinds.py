"""The kinds of steps that an ordinary network is made of: what each holds.

Dimensions: C inputs, K outputs, kh and kw taps.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from awn_jax.export import pointwise
from awn_jax.export.checks import ExportError, field, flag, number, one_of, optional, permutation, several, whole
from awn_jax.layers.pointwise import FUNCTIONS

# Of a setting, and of an axis: what is larger is no network.
LARGEST = 1 << 20
MOST_INPUTS = 1000

_pair = several(whole(1, LARGEST), 2, 2)
_pads = several(several(whole(0, LARGEST), 2, 2), 2, 2)
_window = {"window": _pair, "strides": _pair, "padding": _pads}


class Kind(NamedTuple):
    """What a step of a kind holds.

    Attributes:
        arrays: the axes of its weights, by name.
        settings: what its settings must be, by name.
        fewest, most: inputs.
    """

    arrays: Mapping[str, str] = {}
    settings: Mapping[str, Any] = {}
    fewest: int = 1
    most: int = 1


KINDS = {
    # The padding is ((top, bottom), (left, right)).
    "conv": Kind({"kernel": "kh kw C K", "bias": "K"}, {"strides": _pair, "padding": _pads, "dilation": _pair}),
    # A convolution of every channel by itself.
    "depthwise": Kind({"kernel": "kh kw C", "bias": "C"}, {"strides": _pair, "padding": _pads}),
    # x · scale + bias, channel by channel.
    "affine": Kind({"scale": "C", "bias": "C"}),
    # On the last axis.
    "dense": Kind({"kernel": "C K", "bias": "K"}),
    # On all pixels of all channels.
    "head": Kind({"kernel": "C pixels K", "bias": "K"}),
    "activation": Kind(settings={"function": one_of(FUNCTIONS)}),
    # An operation on numbers, named as JAX names its primitive; operands are constants, or None for an input.
    "pointwise": Kind(
        settings={"function": one_of(pointwise.FUNCTIONS), "operands": several(optional(number), 1, 2)}, most=2
    ),
    "max_pool": Kind(settings=_window),
    # Zeros of the padding count.
    "mean_pool": Kind(settings=_window),
    # Every pixel becomes so many rows and columns of pixels.
    "upsample": Kind(settings={"factor": _pair}),
    # Over all pixels.
    "mean": Kind(settings={"keepdims": flag}),
    "sum": Kind(settings={"keepdims": flag}),
    # Other axes between batch and channels.
    "reshape": Kind(settings={"pixels": several(whole(1, LARGEST), 0, 4)}),
    "add": Kind(fewest=2, most=MOST_INPUTS),
    # Of channels, then `[..., order]`; of one input, its channels in another order.
    "concat": Kind(settings={"order": permutation}, most=MOST_INPUTS),
    "identity": Kind(),
}


def check_kind(kind: Any, inputs: int, where: str) -> str:
    """A kind that there is, with a number of inputs that it takes.

    Raises:
        ExportError: beginning with `where`, if it is none.
    """
    known = field({"kind": kind}, "kind", one_of(KINDS), where)
    fewest, most = KINDS[known].fewest, KINDS[known].most
    if not fewest <= inputs <= most:
        raise ExportError(f"{where}: {known} takes {fewest} to {most} inputs, got {inputs}")
    return known


def check_settings(kind: str, settings: Mapping[str, Any], inputs: int, where: str) -> dict[str, Any]:
    """The settings of a step with tuples in place of lists, which are those of its kind.

    Raises:
        ExportError: beginning with `where`, if they are not.
    """
    wanted = KINDS[kind].settings
    _check_names("settings", wanted, settings, where)
    found = {name: field(settings, name, check, where) for name, check in wanted.items()}
    if kind == "pointwise":
        places = pointwise.FUNCTIONS[found["function"]].source.count("{}")
        if len(found["operands"]) != places or found["operands"].count(None) != inputs:
            raise ExportError(
                f"{where}: operands must be {places} with None for each of {inputs} inputs, got {found['operands']}"
            )
    return found


def check_shapes(kind: str, shapes: Mapping[str, Any], where: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a step's arrays, which have the axes of its kind.

    Raises:
        ExportError: beginning with `where`, if they have not.
    """
    wanted = KINDS[kind].arrays
    _check_names("arrays", wanted, shapes, where)
    found, sizes = {}, dict[str, int]()
    for name, axes in wanted.items():
        names = axes.split()
        found[name] = field(shapes, name, several(whole(1, LARGEST), len(names), len(names)), where)
        for axis, size in zip(names, found[name], strict=True):
            if sizes.setdefault(axis, size) != size:
                raise ExportError(f"{where}: {name} must have {axis}={sizes[axis]}, got shape {found[name]}")
    return found


def _check_names(what: str, wanted: Iterable[str], given: Iterable[str], where: str) -> None:
    if set(wanted) != set(given):
        raise ExportError(
            f"{where}: {what} must be {', '.join(wanted) or 'none'}, got {', '.join(given) or 'none'}"[:300]
        )
