"""What every model can be told."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import jax.numpy as jnp

from awn_jax import widths

T = TypeVar("T", bound="Options")


@dataclasses.dataclass(frozen=True)
class Options:
    """What every model can be told; a model with settings of its own has a subclass, as its `Options`.

    Attributes:
        family: one of `families.NAMES`.
        multiplier: of the published numbers of channels; 0 for the family's own: √2 for triangular networks, 1 for the others.
        grid: number of moments at which channels are born, the same ones in all layers; 0 for as many as a layer has channels.
        group: channels born together.
        core: α of the narrowest network there is, whose channels all read each other; 0 for the paper's triangle.
        fan_in: what the initial scale of a channel counts: all inputs (`full`) or those that it may read (`visible`).
        dropout: while training, share of the features that the head misses at full width; at width α, α times that.
        dtype: of weights and activations; statistics and logits are float32, or wider.
    """

    family: Literal["triangular", "s_net", "us_net", "shared_bn", "nested_net", "single"] = "triangular"
    multiplier: float = 0.0
    grid: int = 0
    group: int = 1
    core: float = 0.0
    fan_in: Literal["full", "visible"] = "full"
    dropout: float = 0.0
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"

    def __post_init__(self):
        for name, good, rule in (
            ("multiplier", self.multiplier >= 0, "0 or more"),
            ("grid", 0 <= self.grid <= widths.MOST_BIRTHS, f"from 0 to {widths.MOST_BIRTHS}"),
            ("group", self.group >= 1, "at least 1"),
            ("core", 0 <= self.core <= 1, "in [0, 1]"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
        ):
            if not good:
                raise ValueError(f"{name} must be {rule}, got {getattr(self, name)}")


def changed(options: T, named: Mapping[str, Any]) -> T:
    """Options of which some are given by name; a `dtype` may be a type.

    Raises:
        TypeError: if a model has no such option.
    """
    values = dict(named)
    if "dtype" in values:
        values["dtype"] = jnp.dtype(values["dtype"]).name
    return dataclasses.replace(options, **values)


@dataclasses.dataclass(frozen=True)
class StagedOptions(Options):
    """Those of every model; and, of models that are made of stages of blocks,

    Attributes:
        blocks: how many each stage has, 0 to leave one out; empty for the published numbers.
    """

    blocks: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if any(count < 0 for count in self.blocks):
            raise ValueError(f"blocks must be 0 or more in each stage, got {self.blocks}")

    def counts(self, published: Sequence[int]) -> tuple[int, ...]:
        """The blocks of each stage, given the published ones.

        Raises:
            ValueError: if there are not as many stages.
        """
        if self.blocks and len(self.blocks) != len(published):
            raise ValueError(f"blocks must be {len(published)} numbers, one for each stage, got {self.blocks}")
        return self.blocks or tuple(published)
