"""The families of networks that are compared: which convolution, dense layer and norm each is made of.

Every model takes any family. Sources: Any-Width Networks (Vu et al., 2020) for `triangular`, and for `shared_bn`, its control;
Slimmable Neural Networks (Yu et al., 2019) for `s_net`; Universally Slimmable Networks (Yu & Huang, 2019) for `us_net`;
NestedNet (Kim et al., 2018) for `nested_net`, its masks of connections. Its levels of channels are `s_net`, or `shared_bn`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from awn_jax import widths
from awn_jax.layers import (
    BatchNorm,
    CalibratedBatchNorm,
    Conv,
    Dense,
    MaskedConv,
    MaskedDense,
    Norm,
    SwitchableBatchNorm,
    TriConv,
    TriDense,
)


@dataclasses.dataclass(frozen=True)
class Family:
    """What the layers of a network are.

    Attributes:
        name: one of `NAMES`.
        conv: makes a convolution.
        dense: makes a hidden dense layer.
        norm: makes the norm of an axis.
        multiplier: of the published numbers of channels.
        trained: the widths that have something private, ascending to 1.
        until: for each of them, the largest width that gives the same sub-network, see `widths.last_of`; None if not known.
        whole: all channels are there at every width, whatever options say when they are born.
    """

    name: str = "triangular"
    conv: Callable[..., Conv] = TriConv
    dense: Callable[..., Dense] = TriDense
    norm: Callable[..., Norm] = BatchNorm
    # Triangular layers hold half the weights of ordinary ones, so networks of equal size are √2 wider.
    multiplier: float = math.sqrt(2)
    trained: tuple[widths.Width, ...] = (1,)
    until: tuple[widths.Width, ...] | None = None
    whole: bool = False

    @property
    def nests(self) -> bool:
        """Whether narrow networks are prefixes of the wide one."""
        return self.name in NESTED


TRIANGULAR = Family()
NAMES = ("triangular", "s_net", "us_net", "shared_bn", "nested_net", "single")
# Whose narrow networks are prefixes of the wide one, so that one pass trains and scores all widths.
NESTED = ("triangular",)


def make(name: str, *, fixed: Sequence[widths.Width] = (1,), until: Sequence[widths.Width] | None = None) -> Family:
    """A family by name.

    Args:
        name: one of `NAMES`; `single` is an ordinary network, to be used at full width alone.
        fixed: of `s_net` and `nested_net`, the widths that have a private batch norm; of the latter, its levels.
        until: of `s_net`, see `SwitchableBatchNorm`; of `us_net`, see `CalibratedBatchNorm`.

    Raises:
        ValueError: if there is no such family.
    """
    ordinary = functools.partial(Family, name, Conv, Dense, multiplier=1.0)
    match name:
        case "triangular":
            return TRIANGULAR
        case "s_net":
            trained, last = tuple(sorted(fixed)), None if until is None else tuple(until)
            return ordinary(norm=functools.partial(_switchable, trained, last), trained=trained, until=last)
        case "us_net":
            return ordinary(norm=functools.partial(CalibratedBatchNorm, until=(1,) if until is None else tuple(until)))
        case "nested_net":
            trained = tuple(sorted(fixed))
            conv, dense = functools.partial(MaskedConv, at=trained), functools.partial(MaskedDense, at=trained)
            norm = functools.partial(SwitchableBatchNorm, at=trained)
            return Family(name, conv, dense, norm, multiplier=1.0, trained=trained, whole=True)
        case "shared_bn" | "single":
            return ordinary(norm=BatchNorm)
    raise ValueError(f"family must be one of {', '.join(NAMES)}, got {name!r}")


def _switchable(
    fixed: Sequence[widths.Width], until: Sequence[widths.Width] | None, axis: widths.Axis, **options: Any
) -> Norm:
    # Published networks have one plain norm where all channels are there at every width.
    return BatchNorm(axis, **options) if axis.is_whole else SwitchableBatchNorm(axis, fixed, until, **options)
