"""Makes the tables and figures of the paper, and those that go beyond it: runs what is missing, then writes and draws.

    python -m awn_jax.paper table2                          # Fashion-MNIST, seed 0: twelve runs of 20 epochs
    python -m awn_jax.paper table2 --datasets fmnist cifar10 --seeds 0 1 2 --jobs 2
    python -m awn_jax.paper all --no-train                  # from the records at hand, nothing is trained
    python -m awn_jax.paper table1 --datasets digits --config.train.epochs=1

A run that was cut off goes on; one whose record is there is not repeated. Flags --config.… change the config of every run:
such runs need an --out and --runs of their own. Records are JSON, one for each run, with all curves, parameters,
operations, seconds, hardware, versions and the command; from them come the tables (Markdown) and pictures.
"""

import argparse
import pathlib
import re
from collections.abc import Callable, Mapping

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import data, files, platform
from awn_jax.methods import METHODS
from awn_jax.paper import experiments, figures, moments, records, runs, tables
from awn_jax.paper.experiments import TARGETS, Experiment
from awn_jax.paper.records import Record
from awn_jax.training import checkpoints

SNAPSHOTS = 40
PICTURES: dict[str, Callable[[Mapping[Experiment, Record], str, pathlib.Path], None]] = {
    "fig4": figures.trained_widths,
    "fig5": figures.curves,
    "fig6": figures.full_width_only,
    "macs": figures.against_macs,
}


def parse_arguments(argv: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    lines = "\n".join(f"  {name:9}{target.title}" for name, target in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.paper",
        description=__doc__,
        epilog=f"targets:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="+", choices=[*TARGETS, "all"], metavar="TARGET", help="see below, or all")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="configs/lenet_NAME.py (default: the target's)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help="only these of the target's")
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help="(default: 0; with --no-train, all that are there)"
    )
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/paper"), metavar="DIR", help="workdirs")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/results"), metavar="DIR", help="results")
    parser.add_argument(
        "--update", type=pathlib.Path, metavar="FILE", help="also put the tables into this Markdown file"
    )
    parser.add_argument("--jobs", type=types.positive(int), default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument("--no-train", action="store_true", help="only what the records at hand hold")
    parsed, changes = parser.parse_known_args(argv)
    if "all" in parsed.targets:
        parsed.targets = list(TARGETS)
    for change in changes:
        if not re.fullmatch(r"--config\.[\w.]+=.+", change):
            parser.error(f"unknown argument {change!r}; fields of the config are set as --config.train.epochs=3")
    for name in parsed.datasets or ():
        if not (runs.ROOT / f"configs/lenet_{name}.py").is_file():
            parser.error(f"--datasets must name configs/lenet_NAME.py, got {name!r}")
    return parsed, changes


def make(parsed: argparse.Namespace, changes: list[str]) -> None:
    folder = parsed.out / "records"
    known = records.load_all(folder)
    seeds = parsed.seeds or (sorted({run.seed for run in known}) if parsed.no_train else [0])
    wanted = experiments.needed(parsed.targets, parsed.datasets, parsed.methods, seeds)
    if not parsed.no_train:
        records.check_same_runs(known, wanted, _values(changes))
        missing = [run for run in wanted if run not in known]
        print(f"── {len(wanted)} runs, {len(missing)} of them missing", flush=True)

        def finish(run: Experiment) -> None:
            records.save(_measured(run, parsed.runs / run.name, changes), folder)

        def flags(run: Experiment) -> list[str]:
            keep = run.method in TARGETS["fig2"].methods
            return [*changes, f"--config.train.snapshots={SNAPSHOTS}"] if keep else changes

        runs.train(missing, parsed.runs, flags, jobs=parsed.jobs, finish=finish)
    found = {run: record for run, record in records.load_all(folder).items() if run in set(wanted)}
    if not found:
        raise configs.ConfigError(f"{folder} holds no record of these runs; without --no-train they are run")
    for target in parsed.targets:
        for dataset in parsed.datasets or TARGETS[target].datasets:
            write(target, dataset, found, parsed)


def _measured(run: Experiment, workdir: pathlib.Path, changes: list[str]) -> Record:
    return records.measure(run, workdir, runs.command(run, changes), _values(changes))


def _values(changes: list[str]) -> dict[str, str]:
    """Field and value of every flag --config.…"""
    return dict(change.removeprefix("--config.").split("=", 1) for change in changes)


def write(target: str, dataset: str, found: Mapping[Experiment, Record], parsed: argparse.Namespace) -> None:
    """Writes one target's table and picture for one data set."""
    methods = [method for method in TARGETS[target].methods if tables.chosen(found, dataset, method)]
    name = f"{target}_{dataset}"
    if not methods:
        print(f"{name}: no record")
        return
    print(f"── {TARGETS[target].title}, {dataset}: {len(methods)} of {len(TARGETS[target].methods)} methods")
    if target in tables.TABLES:
        table = tables.TABLES[target](found, dataset)
        (parsed.out / f"{name}.md").write_text(table + "\n")
        print(table)
        if parsed.update:
            replace(parsed.update, name, table)
    if target in PICTURES:
        PICTURES[target](found, dataset, parsed.out / f"{name}.png")
    if target == "fig2":
        path = parsed.out / f"{name}.json"
        histories = moments.load(path)
        for method in methods:
            run = Experiment(dataset, method, tables.chosen(found, dataset, method)[0].seed)
            if method not in histories:
                try:
                    histories[method] = moments.history(parsed.runs / run.name)
                except (configs.ConfigError, checkpoints.CheckpointError) as error:
                    print(f"figure 2 goes without {run.name} ({error}): delete its record to run it again")
        if histories:
            moments.save(histories, path)
            figures.batch_statistics(histories, dataset, parsed.out / f"{name}.png")
    print(f"wrote {parsed.out}/{name}.*")


def replace(path: pathlib.Path, name: str, table: str) -> None:
    """Puts a table between its two marks in a Markdown file.

    Raises:
        ConfigError: if the file or the marks are not there.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    text = path.read_text() if path.is_file() else ""
    if begin not in text or end not in text:
        raise configs.ConfigError(f"--update: {path} must hold the lines {begin} and {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    files.write_text(path, f"{before}{begin}\n{table}\n{end}{after}")


def main() -> None:
    parsed, changes = parse_arguments()
    platform.start()
    try:
        make(parsed, changes)
    except KeyboardInterrupt:
        platform.fail(RuntimeError("stopped; the same command goes on"))
    except (configs.ConfigError, data.DataError, checkpoints.CheckpointError, runs.RunError) as error:
        platform.fail(error)


if __name__ == "__main__":
    main()
