"""What devices send each other in a compiled program."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from awn_jax.scale import hlo

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# What the TPU compiler calls a sum of which every device then takes its piece.
_SCATTERS = "all-reduce-scatter"


class Collective(NamedTuple):
    """An operation that several devices do together.

    Attributes:
        kind: one of `KINDS`.
        bytes: of its arrays, put together from all devices.
        devices: how many do it together.
        times: how often it runs in one call of the program.
    """

    kind: str
    bytes: int
    devices: int
    times: int = 1

    @property
    def sent(self) -> float | int:
        """Bytes that each device has to send at least, each time.

        Source: Bandwidth optimal all-reduce algorithms for clusters of workstations (Patarasuk & Yuan, 2009).
        """
        if self.kind == "collective-permute":
            return self.bytes
        share = self.bytes * (self.devices - 1) / self.devices
        return 2 * share if self.kind == "all-reduce" else share


def read(text: str, devices: int) -> list[Collective]:
    """The collectives of one call of a program, see `hlo.run`.

    Args:
        text: of the compiled program.
        devices: that it is for.
    """
    return list(_read(text, devices))


def _read(text: str, devices: int) -> Iterator[Collective]:
    for one in hlo.run(text, inside=True):
        # The end of one that was begun before says nothing new.
        kind = one.op.removesuffix("-start")
        if kind not in KINDS:
            continue
        together, sizes = _together(one.attributes, devices), [array.bytes for array in one.arrays]
        if kind != one.op and kind == "collective-permute":
            sizes = sizes[1:2]  # what goes, what comes, counters
        elif kind != one.op and kind == "all-gather":
            sizes = sizes[len(sizes) // 2 :]  # what goes, what comes
        whole = sum(sizes) * (together if kind == "reduce-scatter" else 1)
        if one.within.startswith(_SCATTERS):
            kind = "reduce-scatter"
        if together > 1 or kind == "collective-permute":
            yield Collective(kind, whole, together, one.times)


def _together(attributes: str, devices: int) -> int:
    """How many devices take part together: XLA writes their groups in three ways."""
    if found := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
        return found[1].count(",") + 1
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]<=", attributes):
        return int(found[1])
    if found := re.search(r"replica_groups=\w+\[([^]]*)\] \{([^}]*)\}", attributes):
        sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", found[1])}
        parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", found[2])
        return math.prod(int(part or sizes[name]) for name, part in parts)
    return devices
