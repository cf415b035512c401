"""A network so small that it trains within seconds, and what makes up its run."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import awn_jax
from awn_jax import config as configs

CONFIG = "configs/lenet_digits.py"
CHANGES = {
    "model.channels": "4",
    "train.epochs": "0.3",
    "train.log_every": "1",
    # A checkpoint after every step.
    "train.checkpoint_minutes": "0.0",
}
FLAGS = [f"--config={CONFIG}", *(f"--config.{name}={value}" for name, value in CHANGES.items())]


def train(workdir: pathlib.Path, **changes: str) -> None:
    """Trains the network and sweeps it, as `train.py` does; fields of the config with `__` for their dots."""
    more = {name.replace("__", "."): value for name, value in changes.items()}
    trained = awn_jax.train(configs.read(CONFIG, {**CHANGES, **more}), workdir, progress=False)
    if trained.stopped:
        raise KeyboardInterrupt


def result(workdir: pathlib.Path) -> Mapping[str, Any]:
    """What two equal runs leave alike, to the last bit: the state as its checkpoint's checksums say it, the sweep, the log."""
    store = sorted((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))[-1]
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {
        "step": store.name,
        "checksums": json.loads((store / "checksums" / "metadata").read_text()),
        "sweep": {**json.loads((workdir / "sweep.json").read_text()), "workdir": ""},
        "log": [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines],
    }
