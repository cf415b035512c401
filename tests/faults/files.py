"""Flips single bits of every other file that the library reads back: config, facts, logs, profiles, records, exports."""

import json
import pathlib
import random
import shutil
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np

from awn_jax import config as configs
from awn_jax import data, evaluation, export, open_run, profile
from awn_jax.export import read
from awn_jax.models import distinct_widths
from awn_jax.paper import records
from awn_jax.paper.targets import PAPERS_MODEL
from awn_jax.training.progress import MetricsLog
from tests.faults import core, damage

FLIPS = 25
WIDTH = 0.5


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        paths: of the files.
        read: as the library reads them; what it gives can be compared with ==.
        warning: what is said of a damaged file that is read all the same.
    """

    paths: list[pathlib.Path]
    read: Callable[[], Any]
    warning: str = ""


def trials(ground: core.Ground) -> Generator[core.Trial]:
    workdir = pathlib.Path(shutil.copytree(ground.trained, ground.scratch / "run"))
    draw = random.Random(ground.seed)
    for title, kind in {**_of_runs(workdir), **_results(workdir), **_exports(workdir)}.items():
        wanted = kind.read()
        for path, bit in damage.bits(kind.paths, FLIPS * len(kind.paths), draw):
            with damage.flipped(path, bit):
                yield core.of_call(
                    f"bit {bit} of {path.name} ({title})", kind.read, lambda found, w=wanted: found == w, kind.warning
                )


def _of_runs(workdir: pathlib.Path) -> dict[str, Kind]:
    """What a workdir is made of."""
    log = workdir / "metrics.jsonl"
    names = ("config.json", "run.json", "finished.json")

    last = open_run(workdir).finished

    def opened() -> Any:
        run = open_run(workdir)
        return configs.flat(run.config), run.facts, run.finished

    def logged() -> Any:
        """As the run reads it when it is asked to go on, which it has done to its end."""
        copy = pathlib.Path(shutil.copy(log, workdir / "copy.jsonl"))
        read = MetricsLog(copy, last, ended=True)
        read.close()
        print(read.lost)
        lines = map(json.loads, copy.read_text().splitlines())
        return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]

    return {
        "run": Kind([workdir / name for name in names], opened, "is not what was written"),
        "log": Kind([log], logged, "has lost lines"),
    }


def _results(workdir: pathlib.Path) -> dict[str, Kind]:
    """What commands wrote of a run and read back."""
    run = open_run(workdir)
    model, step = run.restore()
    at = distinct_widths(model, 0.25)
    swept = evaluation.sweep(
        model, run.images("test").take(64), run.preparation, data.data_mesh(), at=at, task=run.task
    )
    latency = profile.Latency(1.0, 2.0, 30)
    rows = tuple(
        profile.ProfiledWidth(row.width, row.params, row.macs, row.metrics, {1: 1024}, {1: latency})
        for row in swept.rows
    )
    profile.save(profile.Profile("a processor", "0.10.2", step, run.task.metric, (1,), {1: 0.1}, rows), workdir)
    record = records.Record(
        "digits",
        "awn",
        0,
        0.3,
        step,
        {},
        1.5,
        "a processor",
        {"jax": "0.10.2"},
        "train.py",
        {"test": swept},
        PAPERS_MODEL,
    )
    folder = workdir / "records"
    folder.mkdir()
    records.save(record, folder)
    (path,) = folder.iterdir()
    return {
        "profile": Kind([workdir / "profile.json"], lambda: profile.load_current(run)),
        "record": Kind([path], lambda: records.load(path)),
    }


def _exports(workdir: pathlib.Path) -> dict[str, Kind]:
    """Networks for other programs, read by what they answer."""
    run = open_run(workdir)
    model, _ = run.restore()
    facts = {"mean": run.preparation.mean, "std": run.preparation.std}
    images = np.random.default_rng(0).normal(size=(4, *run.facts.image_size)).astype(np.float32)
    graph = export.lowered(model, run.facts.image_size, WIDTH, **facts)
    folder = workdir / "export"
    folder.mkdir()
    export.stablehlo.save(
        export.stablehlo.program(model, run.facts.image_size, WIDTH, **facts), folder / "network.stablehlo"
    )
    export.flax.save(graph, folder / "flax_network.py")
    export.bundle.save([graph], folder / "network.safetensors")
    formats = {"stablehlo": "network.stablehlo", "flax": "flax_network.py", "bundle": "network.safetensors"}
    try:
        export.onnx.save(graph, folder / "network.onnx")
        formats["onnx"] = "network.onnx"
    except ImportError:
        print("onnx is not installed: not tried")

    def reads(path: pathlib.Path, to: str) -> Callable[[], bytes]:
        return lambda: read.network(path, to, WIDTH)(images).tobytes()

    return {
        to: Kind(sorted(folder.glob(f"{pathlib.Path(name).stem if to == 'flax' else name}*")), reads(folder / name, to))
        for to, name in formats.items()
    }
