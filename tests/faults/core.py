"""What a trial is, how it is judged, and how trials are counted."""

import contextlib
import enum
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from awn_jax.errors import UserError


class Outcome(enum.Enum):
    """What became of a fault."""

    SURVIVED = "the right result"
    REFUSED = "one clear line"
    SILENT = "a wrong result without a word"
    TRACEBACK = "a traceback, or more than a line"


class Trial(NamedTuple):
    """One fault.

    Attributes:
        name: what was done.
        outcome: what became of it.
        detail: what was said.
    """

    name: str
    outcome: Outcome
    detail: str = ""


class NotTried(Exception):
    """A fault cannot be made here; the message says why."""


class Ground(NamedTuple):
    """What trials work with.

    Attributes:
        repository: root of the checkout.
        scratch: a folder for this kind alone.
        trained: workdir of a small trained network, which stays as it is.
        seed: of whatever is random.
    """

    repository: pathlib.Path
    scratch: pathlib.Path
    trained: pathlib.Path
    seed: int


def of_call(name: str, call: Callable[[], Any], right: Callable[[Any], bool], warning: str = "") -> Trial:
    """Judges a call in this process.

    Args:
        name: of the trial.
        call: that meets the fault.
        right: whether what it gives is right.
        warning: a wrong result is no silent one where this has been said.
    """
    with captured() as said:
        try:
            found = call()
        except UserError as error:
            found = error
        except Exception as error:
            return Trial(name, Outcome.TRACEBACK, f"{type(error).__name__}: {error}")
    text = said()
    if isinstance(found, UserError):
        clear = str(found).strip() and "\n" not in str(found) and not text.strip()
        return Trial(name, Outcome.REFUSED if clear else Outcome.TRACEBACK, f"{found}\n{text}".strip())
    if right(found):
        return Trial(name, Outcome.SURVIVED, text)
    return Trial(name, Outcome.REFUSED if warning and warning in text else Outcome.SILENT, text)


def of_process(name: str, code: int | None, errors: str, right: Callable[[], bool]) -> Trial:
    """Judges a command that has ended.

    Args:
        name: of the trial.
        code: its exit status; None if it had to be ended.
        errors: what it wrote on standard error.
        right: whether what it left is right, if it ended well.
    """
    if code is None:
        return Trial(name, Outcome.TRACEBACK, f"did not end in time\n{errors}")
    if "Traceback" in errors:
        return Trial(name, Outcome.TRACEBACK, errors)
    if code == 0:
        return Trial(name, Outcome.SURVIVED if right() else Outcome.SILENT, errors)
    return Trial(name, Outcome.REFUSED if is_clear(errors) else Outcome.TRACEBACK, f"exit status {code}\n{errors}")


def is_clear(errors: str) -> bool:
    """Whether standard error holds one line that says what is wrong, after argparse's usage at most."""
    lines = errors.strip().splitlines()
    usage = bool(lines) and lines[0].startswith("usage:")
    told = [line for line in lines if re.match(r"(\S+( -m \S+)?: )?error: .", line)]
    return len(told) == 1 and told[0] == lines[-1] and (usage or len(lines) == 1)


@contextlib.contextmanager
def started(ground: Ground, *arguments: object, **options: Any) -> Iterator[subprocess.Popen]:
    """`python ARGUMENTS`, begun in the repository; whatever happens, it does not outlive the block."""
    options = {"env": variables(ground), **options}
    process = subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ground.repository, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def command(
    ground: Ground, *arguments: object, timeout: float = 120, **environment: str
) -> tuple[int | None, str, str]:
    """Runs `python ARGUMENTS` in the repository: its exit status (None if it did not end in time), output and errors."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(ground, *arguments, env=variables(ground, **environment), **pipes) as process:
        code: int | None
        try:
            output, errors = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            code = None
    return code, output.decode(errors="replace"), errors.decode(errors="replace")


def variables(ground: Ground, **changes: str) -> dict[str, str]:
    """The environment of a command; an empty value leaves a variable out."""
    every = {**os.environ, "PYTHONPATH": str(ground.repository), **changes}
    return {name: value for name, value in every.items() if value}


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Keeps what is written on standard output and error, by C++ too; the function gives it afterwards."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        sys.stderr.flush()
        before = [os.dup(stream) for stream in (1, 2)]
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        text = ""
        try:
            yield lambda: text
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, old in zip((1, 2), before, strict=True):
                os.dup2(old, stream)
                os.close(old)
            file.seek(0)
            text = file.read().decode(errors="replace")


class Count:
    """Counts trials by kind and outcome, and shows how far they are."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Outcome]] = {}
        self._times: dict[str, str] = {}
        self._began = Clock()

    def take(self, kind: str, trials: Generator[Trial]) -> None:
        """Runs the trials of a kind; what fails is shown at once."""
        began, counts = Clock(), self._counts.setdefault(kind, Counter())
        shown = began.seconds()
        # What they have mounted or started does not outlive them.
        with contextlib.closing(trials):
            try:
                for trial in trials:
                    counts[trial.outcome] += 1
                    if trial.outcome in (Outcome.SILENT, Outcome.TRACEBACK):
                        detail = "\n    ".join(line[:200] for line in trial.detail.strip().splitlines()[:12])
                        print(f"{kind}: {trial.name}: {trial.outcome.value}\n    {detail}", flush=True)
                    if began.seconds() - shown > 10:
                        shown = began.seconds()
                        print(f"{kind}: {counts.total()} tried after {shown:.0f} s", flush=True)
            except NotTried as error:
                print(f"{kind}: not tried: {error}", flush=True)
        self._times[kind] = str(began)
        print(self._line(kind), flush=True)

    def _line(self, kind: str) -> str:
        counts = self._counts[kind]
        numbers = ", ".join(f"{counts[outcome]} {outcome.name.lower()}" for outcome in Outcome)
        return f"── {kind}: {counts.total()} tried, {numbers}, {self._times[kind]}"

    def end(self) -> int:
        """Prints the figures, the sum last; the exit status."""
        print()
        for kind in self._counts:
            print(self._line(kind))
        print(f"{self._began} in all")
        total = sum(self._counts.values(), Counter())
        silent, tracebacks = total[Outcome.SILENT], total[Outcome.TRACEBACK]
        print(f"{total.total()} tried, {silent} silent, {tracebacks} tracebacks")
        return 1 if silent or tracebacks or not total else 0


class Clock:
    """Time since it was made, on the wall and of processors; that of a process begun here counts once it has ended."""

    def __init__(self) -> None:
        self._wall, self._processors = time.monotonic(), self._used()

    def seconds(self) -> float:
        """On the wall."""
        return time.monotonic() - self._wall

    def __str__(self) -> str:
        return f"{self.seconds():.0f} s, {self._used() - self._processors:.0f} s of processors"

    @staticmethod
    def _used() -> float:
        return sum(os.times()[:4])
