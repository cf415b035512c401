"""Bad command lines, made from the parsers and the config's fields: each is refused before work, with a line that names it."""

import argparse
import contextlib
import dataclasses
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal, NamedTuple
from unittest import mock

from awn_jax import config as configs
from awn_jax.errors import UserError
from tests.faults import core, small

# Of which a parser's own type refuses some: those are bad.
TEXTS = ("", "9" * 20, "abc", "-1", "0", "1.5", "nan", "inf", "1e999", "1/0", "a b", "/nowhere/x")
# For a field of the config, by what it holds.
WRONG: dict[Any, tuple[str, ...]] = {
    int: ("abc", "1.5", "nan", "True", "[1]", "None", "9" * 20, "-" + "9" * 20),
    float: ("abc", "nan", "-inf", "True", "[1]", "None"),
    bool: ("7", "maybe"),
    tuple: ("abc", "{1: 2}", "('a',)", "[None]", "[nan]"),
    Literal: ("nonesuch", "7", "None"),
}


class Command(NamedTuple):
    """An entry point.

    Attributes:
        name: as it is called.
        module: that has `main`.
        good: arguments that are right.
        work: `module:name` of what must not begin.
    """

    name: str
    module: str
    good: list[str]
    work: str


class Line(NamedTuple):
    """A bad command line; the error must hold one of `names`."""

    command: Command
    arguments: list[str]
    names: tuple[str, ...]


class _Began(BaseException):
    """Work has begun."""


def trials(ground: core.Ground) -> Generator[core.Trial]:
    with contextlib.chdir(ground.repository):
        for command in _commands(ground):
            for line in [*_of_parser(command), *_of_config(command)]:
                yield _tried(line)


def _commands(ground: core.Ground) -> list[Command]:
    workdir, restore = f"--workdir={ground.trained}", "awn_jax.run:Run.restore"
    out = f"--out={ground.scratch}/out"
    trained = [*small.FLAGS, f"--workdir={ground.scratch}/new"]
    scaled = ["--topology=v5e:2x2", "--config=configs/lenet_digits.py", "--image-size=28,28,1"]
    converted = ["nowhere.pth", "--config=configs/lenet_digits.py:single_100", f"--workdir={ground.scratch}/converted"]
    return [
        Command("train.py", "train", trained, "awn_jax.loop:_Loop.run"),
        Command("eval_sweep.py", "eval_sweep", [workdir], restore),
        Command("awn_jax.export", "awn_jax.export.__main__", [workdir, "--to=stablehlo", f"{out}.stablehlo"], restore),
        Command("awn_jax.profile", "awn_jax.profile.__main__", [workdir, out], restore),
        Command("awn_jax.anytime", "awn_jax.anytime.__main__", [workdir, out], restore),
        Command(
            "awn_jax.predict", "awn_jax.predict.__main__", [f"--weights={ground.trained}", "--test-images=2"], restore
        ),
        Command("awn_jax.convert", "awn_jax.convert.__main__", converted, "awn_jax.convert:fill"),
        Command(
            "awn_jax.paper",
            "awn_jax.paper.__main__",
            ["table1", "--datasets=digits", out, f"--runs={ground.scratch}/runs"],
            "awn_jax.paper.__main__:complete_all",
        ),
        Command("awn_jax.bench", "awn_jax.bench.__main__", ["--rounds=1"], "awn_jax.bench.turns:interleaved"),
        Command("awn_jax.bench.feeds", "awn_jax.bench.feeds", ["--batches=1"], "awn_jax.bench.feeds:_drawn"),
        Command("awn_jax.models", "awn_jax.models.__main__", [], "awn_jax.models.__main__:row"),
        Command("awn_jax.scale", "awn_jax.scale.__main__", scaled, "awn_jax.scale.slices:Slice.mesh"),
        Command("kernels.bench", "kernels.bench.__main__", ["--quick"], "kernels.timing:matmul_peak"),
        Command("kernels.bench.train", "kernels.bench.train", [], "kernels.bench.train:train"),
        Command("kernels.bench.tpu", "kernels.bench.tpu", [], "kernels.bench.tpu:can_compile"),
        Command("kernels.bench.roofline", "kernels.bench.roofline", [], "kernels.bench.roofline:roofline"),
        Command("kernels.bench.gpu", "kernels.bench.gpu.__main__", [], "kernels.bench.gpu.__main__:is_hopper"),
    ]


def _of_parser(command: Command) -> Iterator[Line]:
    parser = _parser(command)
    yield Line(command, [*command.good, "--nonesuch=1"], ("--nonesuch",))
    yield Line(command, [*command.good, "--config", "--"], ("--config", "unrecognized"))
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        flag = action.option_strings[-1] if action.option_strings else ""
        named = (flag or action.metavar or action.dest, action.dest)
        others = [argument for argument in command.good if not flag or argument.partition("=")[0] != flag]
        if action.required and flag:
            yield Line(command, others, named)
        if flag and action.nargs == 0:
            yield Line(command, [*others, f"{flag}=3"], named)
        elif flag:
            if action.nargs not in ("*", "?"):
                yield Line(command, [*others, flag], named)
            for text in filter(lambda text, action=action: _refused(action, text), TEXTS):
                yield Line(command, [*others, f"{flag}={text}"], named)
    if "--workdir" in parser._option_string_actions and command.name not in ("train.py", "awn_jax.convert"):
        others = [argument for argument in command.good if not argument.startswith("--workdir")]
        for path in ("/nowhere/run", "README.md", "configs"):
            yield Line(command, [*others, f"--workdir={path}"], (path,))
    for flag in ("--out", "--runs"):
        if flag in parser._option_string_actions and command.name != "kernels.bench.gpu":
            for path in ("README.md/x", "/proc/nowhere/x.stablehlo"):
                yield Line(command, [*command.good, f"{flag}={path}"], (flag,))


def _refused(action: argparse.Action, text: str) -> bool:
    if action.choices is not None and text not in action.choices:
        return True
    if not callable(action.type):
        return False
    try:
        action.type(text)
    except (argparse.ArgumentTypeError, ValueError, TypeError, ArithmeticError):
        return True
    return False


def _of_config(command: Command) -> Iterator[Line]:
    """Fields of the config that are not there, or with values of another kind."""
    if command.name not in ("train.py", "awn_jax.bench", "awn_jax.convert", "awn_jax.paper", "awn_jax.scale"):
        return
    given = {argument.partition("=")[0] for argument in command.good}
    for field in ("train.nonesuch", "nonesuch.epochs", "model", "train"):
        yield Line(command, [*command.good, f"--config.{field}=1"], (field, field.split(".")[-1]))
    yield Line(command, [*command.good, "--config.train.epochs"], ("--config.train.epochs",))
    for name, hint in _fields(configs.Config).items():
        kind = typing.get_origin(hint) or hint
        for text in WRONG.get(kind, ()) if f"--config.{name}" not in given else ():
            yield Line(command, [*command.good, f"--config.{name}={text}"], (name, name.split(".")[-1]))


def _fields(kind: Any, before: str = "") -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        found |= (
            _fields(hint, f"{before}{field.name}.") if dataclasses.is_dataclass(hint) else {before + field.name: hint}
        )
    return {name: hint for name, hint in found.items() if not name.startswith("model.")}


class _Caught(Exception):
    """A parser, before it parses."""


def _parser(command: Command) -> argparse.ArgumentParser:
    def caught(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Caught(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
        try:
            _main(command)(command.good)
        except _Caught as found:
            return found.args[0]
    raise AssertionError(f"{command.name} has no parser")


def _main(command: Command) -> Callable[[list[str]], object]:
    main = importlib.import_module(command.module).main

    def run(arguments: list[str]) -> object:
        with mock.patch.object(sys, "argv", [command.name, *arguments]):
            return main(arguments) if inspect.signature(main).parameters else main()

    return run


def _tried(line: Line) -> core.Trial:
    name = " ".join([line.command.name, *line.arguments])
    module, _, attribute = line.command.work.partition(":")
    with core.captured() as said, mock.patch(f"{module}.{attribute}", side_effect=_Began):
        try:
            ended: object = _main(line.command)(line.arguments)
            error = f"accepted, {ended!r}"
            outcome = core.Outcome.SILENT
        except _Began:
            error, outcome = "accepted, work begins", core.Outcome.SILENT
        except SystemExit as exit:
            error, outcome = "", core.Outcome.REFUSED if exit.code else core.Outcome.SILENT
        except (UserError, argparse.ArgumentTypeError) as refused:
            error, outcome = f"error: {refused}", core.Outcome.REFUSED
        except Exception as other:
            error, outcome = f"{type(other).__name__}: {other}", core.Outcome.TRACEBACK
    text = f"{said()}{error}".strip()
    if outcome is core.Outcome.REFUSED:
        clear = core.is_clear(text) and any(named and named in text for named in line.names)
        outcome = outcome if clear else core.Outcome.TRACEBACK
    return core.Trial(name, outcome, text)
