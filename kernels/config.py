"""What can be tuned: one frozen configuration per backend. `heuristics.py` chooses among them."""

import dataclasses
from typing import Literal

Method = Literal["convolution", "taps", "rows", "patches"]


@dataclasses.dataclass(frozen=True)
class StaircaseConfig:
    """Tunables of one product of `xla_staircase`.

    Attributes:
      blocks: runs of output (for the input gradient, input) channels that are computed separately; 1 is masked dense.
      method: how a block's product is computed, a key of that product's table in `xla_products`.
    """

    blocks: int = 1
    method: Method = "convolution"

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
