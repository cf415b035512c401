"""Reads a run in a folder that cannot be written to: with `--out` all works, without it there is one line before work."""

import pathlib
import shutil
from collections.abc import Generator

from tests.faults import core, disk, small


def trials(ground: core.Ground) -> Generator[core.Trial]:
    out = ground.scratch / "out"
    with disk.mounted(ground.scratch / "disk", "size=64m") as place:
        workdir = pathlib.Path(shutil.copytree(ground.trained, place / "run"))
        before = small.result(workdir)
        disk.remount(place, "ro")
        run = f"--workdir={workdir}"
        for flags in ([], [f"--config.train.seed={1}"]):
            # The run has ended, or is another one: there is nothing that training could do without writing.
            code, _, errors = core.command(ground, "train.py", *small.FLAGS, *flags, run)
            yield core.of_process(f"train.py {' '.join(flags)}", code, errors, lambda: False)
        commands = {
            "eval_sweep.py": (["eval_sweep.py", run], "sweep", ["sweep.json", "sweep.csv", "sweep.png"]),
            "eval_sweep.py --html": (["eval_sweep.py", run, "--html"], "page", ["sweep.html"]),
            "profile": (["-m", "awn_jax.profile", run, "--seconds=0.1"], "profile", ["profile.json", "profile.png"]),
            "anytime": (["-m", "awn_jax.anytime", run, "--rounds=0"], "anytime", ["anytime.json", "anytime.png"]),
        }
        for name, (arguments, folder, files) in commands.items():
            code, output, errors = core.command(ground, *arguments)
            refused = core.of_process(name, code, errors, lambda: False)
            # Before work: nothing has been printed yet.
            yield refused if not output else refused._replace(outcome=core.Outcome.SILENT, detail=output)
            code, _, errors = core.command(ground, *arguments, f"--out={out / folder}")
            there = [out / folder / file for file in files]
            yield core.of_process(f"{name} --out", code, errors, lambda t=there: all(p.stat().st_size for p in t))
        for to, file in {"stablehlo": "a.stablehlo", "flax": "a.py", "bundle": "a.safetensors"}.items():
            arguments = ["-m", "awn_jax.export", run, f"--to={to}"]
            code, output, errors = core.command(ground, *arguments)
            yield core.of_process(f"export --to={to}", code, errors, lambda: False)
            code, output, errors = core.command(ground, *arguments, f"--out={out / file}")
            yield core.of_process(f"export --to={to} --out", code, errors, lambda f=file: (out / f).stat().st_size > 0)
        code, output, errors = core.command(ground, "eval_sweep.py", run, "--widths", "0.5")
        yield core.of_process("eval_sweep.py --widths, which only prints", code, errors, lambda o=output: "AUC" in o)
        assert small.result(workdir) == before
