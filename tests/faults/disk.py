"""Trains, and writes results, where the disk is full: one line, and with room made the run ends as it should."""

import contextlib
import pathlib
import shutil
import subprocess
from collections.abc import Generator, Iterator

from tests.faults import core, small

# From none to what the last checkpoint needs; between two of them, writing fails elsewhere.
KIBIBYTES = (4, 40, 150, 290, 330, 400, 480)
ROOM = 64 << 10


def trials(ground: core.Ground) -> Generator[core.Trial]:
    wanted = small.result(ground.trained)
    for size in KIBIBYTES:
        with mounted(ground.scratch / str(size), f"size={size}k") as disk:
            workdir = disk / "run"
            arguments = ["train.py", *small.FLAGS, f"--workdir={workdir}"]
            code, _, errors = core.command(ground, *arguments)
            yield core.of_process(
                f"training on a disk of {size} KiB", code, errors, lambda w=workdir: small.result(w) == wanted
            )
            remount(disk, f"size={ROOM}k")
            code, _, errors = core.command(ground, *arguments)
            trial = core.of_process(
                f"gone on with, with room made on {size} KiB", code, errors, lambda w=workdir: small.result(w) == wanted
            )
            # Nothing stands in the way any more: a refusal is a run that is lost.
            yield trial if code == 0 else trial._replace(outcome=core.Outcome.TRACEBACK)
    with mounted(ground.scratch / "results", f"size={ROOM}k") as disk:
        shutil.copytree(ground.trained, disk / "run")
        remount(disk, f"size={_used(disk)}k")
        for name, arguments in _readers(disk / "run").items():
            code, _, errors = core.command(ground, *arguments)
            yield core.of_process(f"{name} on a full disk", code, errors, lambda: True)


def _readers(workdir: pathlib.Path) -> dict[str, list[str]]:
    return {
        "eval_sweep.py": ["eval_sweep.py", f"--workdir={workdir}", "--html"],
        "awn_jax.profile": ["-m", "awn_jax.profile", f"--workdir={workdir}", "--seconds=0.1"],
        "awn_jax.anytime": ["-m", "awn_jax.anytime", f"--workdir={workdir}", "--rounds=0"],
        "awn_jax.export": ["-m", "awn_jax.export", f"--workdir={workdir}", "--to=bundle"],
    }


def _used(disk: pathlib.Path) -> int:
    return shutil.disk_usage(disk).used >> 10


@contextlib.contextmanager
def mounted(place: pathlib.Path, options: str) -> Iterator[pathlib.Path]:
    """A disk in memory, with options of `mount`.

    Raises:
        NotTried: if this process may not mount one.
    """
    place.mkdir()
    _mount("-t", "tmpfs", "-o", options, "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(disk: pathlib.Path, options: str) -> None:
    """Changes the options of a disk."""
    _mount("-o", f"remount,{options}", str(disk))


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise core.NotTried(f"no disk can be mounted here ({' '.join(reason.split())})") from None
