"""How long a step takes at least, of what its chips compute, read and send.

An estimate from published peaks: nothing here is measured. A chip computes while it reads and writes its memory, so the longer
of the two counts; what it sends comes on top, since the compiler lets the chips wait for each other's sums.
"""

import dataclasses
from collections.abc import Sequence

from awn_jax.scale.collectives import Collective
from awn_jax.scale.slices import HOP_SECONDS, Slice


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Of one step.

    Attributes:
        arithmetic: seconds that a chip's operations take at its peak.
        memory: seconds that its reads and writes take.
        hops: seconds that chips wait for small arrays, which take as long as their way from chip to chip.
        transfer: seconds that large arrays take to be sent.
        images: that a chip learns from.
        chips: how many there are.
    """

    arithmetic: float
    memory: float
    hops: float
    transfer: float
    images: int
    chips: int

    @property
    def alone(self) -> float:
        """Seconds of a step without other chips."""
        return max(self.arithmetic, self.memory)

    @property
    def waiting(self) -> float:
        """Seconds of a step that go into what chips send each other."""
        return self.hops + self.transfer

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return self.alone + self.waiting

    @property
    def images_per_second(self) -> float:
        """Of all chips together."""
        return self.images * self.chips / self.step

    @property
    def efficiency(self) -> float:
        """The share of a step in which a chip works."""
        return self.alone / self.step

    @property
    def even(self) -> float:
        """Images a chip at which working and waiting take equally long: what is sent does not depend on the batch."""
        return self.images * self.waiting / self.alone


def seconds(one: Collective, on: Slice) -> tuple[float, bool]:
    """What one collective takes, and whether that is because of the hops: the longest way there, and back for a sum.

    A few chips that do it together are taken for neighbours.
    """
    ways = 2 if one.kind == "all-reduce" else 1
    hops, sending = ways * min(on.hops, one.devices - 1) * HOP_SECONDS, one.sent / on.bandwidth
    return max(hops, sending), hops > sending


def estimate(flops: float, bytes: int, sent: Sequence[Collective], images: int, on: Slice) -> Estimate:
    """What a step takes.

    Args:
        flops: operations of a chip.
        bytes: that they read and write.
        sent: the collectives of a step.
        images: that a chip learns from.
        on: the slice.
    """
    waits = {True: 0.0, False: 0.0}
    for one in sent:
        each, of_hops = seconds(one, on)
        waits[of_hops] += one.times * each
    return Estimate(flops / on.chip.flops, bytes / on.chip.bandwidth, waits[True], waits[False], images, on.chips)
