"""Makes the tables and figures of the paper, and those that go beyond it: trains what is missing, then writes and draws.

    python -m awn_jax.paper table2                          # Fashion-MNIST, seed 0: twelve runs of 20 epochs
    python -m awn_jax.paper table2 --datasets fmnist cifar10 --seeds 0 1 2 --jobs 2
    python -m awn_jax.paper table2 --models lenet mobilenet_v2 --datasets fmnist cifar10 cifar100    # the paper's five rows
    python -m awn_jax.paper all --no-train                  # from the records at hand, nothing is trained
    python -m awn_jax.paper table1 --datasets digits --config.train.epochs=1

A run that was cut off goes on; one whose record is there is not repeated. Flags --config.… change the config of every run:
such runs need an --out and --runs of their own. Records are JSON, one for each run, with all curves, parameters,
operations, seconds, hardware, versions and the command; from them come the tables (Markdown) and pictures.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import files, hardware
from awn_jax.paper import output, records, targets
from awn_jax.paper.records import RecordError
from awn_jax.paper.targets import TARGETS, Trial
from awn_jax.paper.trials import Trainer, TrialError
from awn_jax.paper.workers import complete_all


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    lines = "\n".join(f"  {name:11}{target.title}" for name, target in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.paper",
        description=__doc__,
        epilog=f"targets:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("targets", nargs="+", choices=[*TARGETS, "all"], metavar="TARGET", help="see below, or all")
    parser.add_argument(
        "--models",
        nargs="+",
        default=[targets.PAPERS_MODEL],
        metavar="NAME",
        help="networks; a pair of a network and a data set that has no config file is left out (default: %(default)s)",
    )
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="data sets (default: the target's)")
    parser.add_argument(
        "--configs",
        type=pathlib.Path,
        default=pathlib.Path("configs"),
        metavar="DIR",
        help="holds a config file MODEL_DATASET.py for each network and data set (default: configs)",
    )
    parser.add_argument(
        "--methods", nargs="+", choices=configs.METHODS, metavar="NAME", help="only these of the target's"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=types.seed, metavar="N", help="(default: 0; with --no-train, all that are there)"
    )
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/paper"), metavar="DIR", help="workdirs")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/results"), metavar="DIR", help="results")
    parser.add_argument(
        "--update",
        type=pathlib.Path,
        metavar="FILE",
        help="also put the tables into this Markdown file, each between its lines <!-- table2_fmnist --> and "
        "<!-- end table2_fmnist -->, which must be there",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the configs')")
    parser.add_argument("--jobs", type=types.positive(int), default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument("--no-train", action="store_true", help="only what the records at hand hold")
    given, changes = configs.take_changes(argv)
    parsed = parser.parse_args(given)
    if "train.seed" in changes:
        parser.error("--config.train.seed cannot be given: --seeds says it")
    if "all" in parsed.targets:
        parsed.targets = list(TARGETS)
    return parsed, changes


def main(argv: Sequence[str]) -> None:
    parsed, changes = parse_arguments(argv)

    # ── what to do
    folder = parsed.out / "records"
    trainer = Trainer(parsed.configs, parsed.runs, folder, changes, parsed.data_dir)
    known = records.load_all(folder)
    seeds = parsed.seeds or (sorted({trial.seed for trial in known}) if parsed.no_train else [0])
    where = (parsed.models, parsed.datasets, parsed.configs)
    wanted = targets.needed(parsed.targets, *where, parsed.methods, seeds)
    if parsed.methods and not targets.needed(parsed.targets, *where, parsed.methods, [0]):
        has = dict.fromkeys(method for target in parsed.targets for method in TARGETS[target].methods)
        raise TrialError(
            f"--methods must name methods of {', '.join(parsed.targets)}, which are {', '.join(has)}; got "
            f"{', '.join(parsed.methods)}"
        )
    missing = [trial for trial in wanted if trial not in known]
    made = [trial for trial in wanted if trial in known] if parsed.no_train else wanted
    if not made:
        raise RecordError(f"{folder} holds no record of these runs; without --no-train they are trained")
    pages = [
        output.Page(target, setting, parsed.out, parsed.update)
        for target in parsed.targets
        for setting in targets.settings(target, *where)
    ]
    for page in pages:
        page.check(made)

    # ── train what is missing
    if not parsed.no_train:
        records.check_same_config(known, wanted, trainer.recorded_changes)
        _check(trainer, missing)
        files.folder(folder, "--out")
        print(f"── {len(wanted)} runs, {len(missing)} of them missing", flush=True)
        complete_all(missing, trainer.complete, parsed.runs, jobs=parsed.jobs)

    # ── write
    files.folder(parsed.out, "--out")
    found = {trial: record for trial, record in records.load_all(folder).items() if trial in set(wanted)}
    for page in pages:
        page.write(found, trainer)


def _check(trainer: Trainer, missing: Sequence[Trial]) -> None:
    """Finds out what is wrong with a run before the first one begins."""
    if missing:
        files.folder(trainer.workdirs, "--runs")
    for trial in missing:
        trainer.config(trial)


if __name__ == "__main__":
    with hardware.one_line_errors():
        hardware.start()
        main(sys.argv[1:])
