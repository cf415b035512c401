"""What can be tuned: one frozen configuration per backend. `heuristics.py` chooses among them."""

import dataclasses
from typing import Literal

Method = Literal["convolution", "dilated", "taps", "rows", "patches"]


@dataclasses.dataclass(frozen=True)
class StaircaseConfig:
    """Tunables of one product of `xla_staircase`.

    Attributes:
      blocks: runs of input (for the input gradient, output) channels that are computed separately; 1 is masked dense.
      method: how a block's product is computed, a key of that product's table in `xla_products`.
      multiple: of channels in every run but the last.
    """

    blocks: int = 1
    method: Method = "convolution"
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
        if self.multiple < 1:
            raise ValueError(f"multiple must be at least 1, got {self.multiple}")


@dataclasses.dataclass(frozen=True)
class TpuConfig:
    """Tile sizes of `pallas_tpu`.

    Attributes:
      batch: images per block; they fill the sublanes, so a multiple of 8 (float32) or 16 (bfloat16).
      rows: output rows per block.
      channels: input and output channels per block of weights, or all of them where there are fewer.
    """

    batch: int
    rows: int
    channels: int = 128

    def __post_init__(self) -> None:
        if self.batch < 1 or self.batch % 8:
            raise ValueError(f"batch must be a positive multiple of 8, got {self.batch}")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")
        if self.channels < 128 or self.channels % 128:
            raise ValueError(f"channels must be a positive multiple of 128, got {self.channels}")
