"""What is told of a compiled step: lines to read, and values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from awn_jax.run import Run
from awn_jax.scale.collectives import KINDS, Collective
from awn_jax.scale.program import Program
from awn_jax.scale.roofline import Estimate, seconds
from awn_jax.scale.slices import Slice


@dataclasses.dataclass(frozen=True)
class Sent:
    """The collectives of one kind in a step, or those of them that take long for one reason.

    Attributes:
        count: how many.
        bytes: of their arrays.
        sent: bytes that a chip sends at least.
        seconds: that they take, by `roofline.seconds`.
    """

    count: int
    bytes: int
    sent: int
    seconds: float


def heading(run: Run, on: Slice) -> str:
    """What is about to be compiled."""
    config, (height, width, planes) = run.config, run.facts.image_size
    batch = config.train.batch_size
    return (
        f"{config.model.name} ({config.model.options.family}, {config.widths.how}) on {on.name}, {on.chips} chips: batch "
        f"{batch:,}, {batch // on.chips:,} a chip, images {height} × {width} × {planes}, {run.facts.classes:,} classes, "
        f"computing in {config.train.compute or config.model.options.dtype}"
    )


def grouped(sent: Sequence[Collective], on: Slice) -> dict[tuple[str, bool], Sent]:
    """The collectives by kind, and by whether the hops or the bytes make them take as long as they do."""
    found: dict[tuple[str, bool], Sent] = {}
    for kind in KINDS:
        for of_hops in (True, False):
            each = [one for one in sent if one.kind == kind and seconds(one, on)[1] == of_hops]
            if each:
                found[kind, of_hops] = Sent(
                    sum(one.times for one in each),
                    sum(one.times * one.bytes for one in each),
                    round(sum(one.times * one.sent for one in each)),
                    sum(one.times * seconds(one, on)[0] for one in each),
                )
    return found


def table(program: Program, expected: Estimate, on: Slice) -> str:
    """The whole of it, to read."""
    memory, lines = program.memory, [""]
    lines.append(f"memory of a chip {_mega(memory.total):>13} MB of {on.chip.memory / 1e9:.0f} GB")
    for name in ("parameters", "optimizer", "images", "scratch", "program"):
        lines.append(f"  {name:14} {_mega(getattr(memory, name)):>13} MB")
    lines += ["", f"{'sent in a step':32} {'times':>6} {'MB':>10} {'MB a chip':>10} {'ms':>8}"]
    for (kind, of_hops), each in grouped(program.sent, on).items():
        name = f"  {kind}, {'small: hops' if of_hops else 'large: bytes'}"
        lines.append(f"{name:32} {each.count:6} {_mega(each.bytes)} {_mega(each.sent)} {1e3 * each.seconds:8.2f}")
    lines += [
        "",
        f"arithmetic {program.flops / 1e12:9.3f} TFLOP a chip, {1e3 * expected.arithmetic:8.2f} ms; "
        f"weights that exist need {program.needed / 1e12:.3f}",
        f"memory     {program.bytes / 1e9:9.3f} GB a chip,    {1e3 * expected.memory:8.2f} ms",
        f"waiting for others {1e3 * expected.waiting:24.2f} ms",
        "",
        f"a step     {1e3 * expected.step:9.2f} ms at best (estimate): {expected.images_per_second:,.0f} images a second; "
        f"chips work {expected.efficiency:.1%} of it",
        f"at {expected.even:,.1f} images a chip, they would wait as long as they work",
    ]
    return "\n".join(lines)


def values(program: Program, expected: Estimate, on: Slice) -> dict[str, Any]:
    """The whole of it, for programs: bytes, operations, seconds."""
    sent = {
        f"{kind}, {'hops' if of_hops else 'bytes'}": dataclasses.asdict(each)
        for (kind, of_hops), each in grouped(program.sent, on).items()
    }
    names = ("arithmetic", "memory", "hops", "transfer", "step")
    return {
        "topology": on.name,
        "chips": on.chips,
        "images_per_chip": expected.images,
        "compile_seconds": round(program.seconds, 1),
        "memory": dataclasses.asdict(program.memory),
        "flops": program.flops,
        "flops_needed": program.needed,
        "bytes": program.bytes,
        "collectives": sent,
        "seconds": {name: float(f"{getattr(expected, name):.4g}") for name in names},
        "images_per_second": round(expected.images_per_second),
        "efficiency": round(expected.efficiency, 4),
        "even_images_per_chip": round(expected.even, 1),
    }


def _mega(count: int) -> str:
    return f"{count / 1e6:10,.1f}"
