"""The text of a compiled program, read into the instructions that one call of it runs."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Array(NamedTuple):
    """An array in a type.

    Attributes:
        shape: of it.
        bits: of an element.
        layout: how it lies in memory, as the compiler writes it; empty where it does not say.
    """

    shape: tuple[int, ...]
    bits: int
    layout: str

    @property
    def bytes(self) -> int:
        """Of its elements."""
        return math.prod(self.shape) * self.bits // 8


class Instruction(NamedTuple):
    """An instruction, and how often one call of the program runs it.

    Attributes:
        op: what it does.
        arrays: that it gives.
        operands: the arrays of each operand.
        attributes: all else that is said of it, the names of its operands or the value of a constant first.
        within: the name of the computation that it stands in.
        times: how often it runs.
    """

    op: str
    arrays: tuple[Array, ...]
    operands: tuple[tuple[Array, ...], ...]
    attributes: str
    within: str
    times: int = 1


def run(text: str, *, inside: bool) -> Iterator[Instruction]:
    """The instructions that one call of a program runs.

    Those of a loop count as often as it runs, where the compiler knows, and of a choice those of its longest branch.

    Args:
        text: of the program, as `compiled.as_text()` gives it.
        inside: also those that are fused into one.
    """
    bodies: dict[str, list[Instruction]] = {}
    entry, lines = "", iter(text.splitlines())
    for line in lines:
        if header := _HEADER.match(line):
            entry = header[2] if header[1] else entry
            bodies[header[2]] = list(_body(header[2], lines))
    return _walk(entry, bodies, inside)


_HEADER = re.compile(r"(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][a-z0-9-]*)\(([^)]*)\)(.*)")
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(\d+)\w*)\[([\d,]*)\](?:\{([^{}]*)\})?")
_CALLED = re.compile(r"\b(?:calls|body|to_apply)=%?([\w.-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}|\b(?:true|false)_computation=%?([\w.-]+)")


def arrays(type_: str) -> tuple[Array, ...]:
    """The arrays of a type, those of a tuple one after the other."""
    found = _ARRAY.findall(type_)
    # A truth value takes a byte.
    return tuple(
        Array(tuple(int(side) for side in shape.split(",") if side), int(bits or 8), layout)
        for bits, shape, layout in found
    )


def _body(name: str, lines: Iterator[str]) -> Iterator[Instruction]:
    known: dict[str, tuple[Array, ...]] = {}
    for line in lines:
        if line.startswith("}"):
            return
        if parsed := _INSTRUCTION.match(line):
            own, type_, op, given, rest = parsed.groups()
            known[own] = arrays(type_)
            operands = tuple(known[each] for each in re.findall(r"[\w.-]+", given) if each in known)
            yield Instruction(op, known[own], operands, f"{given}) {rest}", name)


def _walk(name: str, bodies: Mapping[str, list[Instruction]], inside: bool) -> Iterator[Instruction]:
    for one in bodies.get(name, ()):
        yield one
        if one.op == "conditional":
            names = [
                each.strip(" %") for pair in _BRANCHES.findall(one.attributes) for each in ",".join(pair).split(",")
            ]
            yield from max((list(_walk(each, bodies, inside)) for each in names), key=len, default=[])
        elif one.op in ("while", "call", "async-start") or inside:
            trips = _trips(one, bodies)
            for called in _CALLED.findall(one.attributes):
                for each in _walk(called, bodies, inside):
                    yield each._replace(times=each.times * trips)


def _trips(one: Instruction, bodies: Mapping[str, list[Instruction]]) -> int:
    """How often what an instruction calls runs: once, unless it is a loop that counts up to a constant."""
    if one.op != "while":
        return 1
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', one.attributes):
        return int(known[1])
    # The TPU compiler does not say. A loop of JAX's counts from 0, and goes on while it is below the end.
    condition = re.search(r"\bcondition=%?([\w.-]+)", one.attributes)
    asked = bodies.get(condition[1], []) if condition else []
    ends = [each for each in asked if each.op == "constant"]
    below = asked and asked[-1].op == "compare" and "direction=LT" in asked[-1].attributes
    return int(ends[0].attributes.split(")")[0]) if below and len(ends) == 1 else 1
