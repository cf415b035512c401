"""Profiles as files: written whole, read with every value checked, refused where the network has changed since."""

import dataclasses
import pathlib
from typing import Any

from awn_jax import files, sealed
from awn_jax.profile.table import Latency, Profile, ProfiledWidth, ProfileError, cells
from awn_jax.run import Run, open_run

NAME = "profile.json"


def save(profile: Profile, folder: pathlib.Path) -> None:
    """Writes `profile.json` and `profile.csv`."""
    sealed.write(folder / NAME, dataclasses.asdict(profile))
    files.write_csv(folder / "profile.csv", cells(profile))


def load(folder: pathlib.Path) -> Profile:
    """Reads a profile that `save` wrote.

    Raises:
        ProfileError: if there is none or it cannot be read.
    """
    path = folder / NAME
    try:
        return _profile(sealed.read(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ProfileError(f"{path} is not there: run python -m awn_jax.profile first, which measures it") from None
    except files.UnreadableError as error:
        raise ProfileError(f"{error}: measure it again") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ProfileError(f"{path} is not a profile ({type(error).__name__}: {error}): measure it again") from error


def load_current(run: Run, folder: pathlib.Path | str | None = None) -> Profile:
    """The profile of a run as it is now.

    Args:
        run: that was measured.
        folder: where the profile is; None for the workdir.

    Raises:
        ProfileError: as for `load`.
        RunError: if the profile is of another checkpoint than the run's newest one.
    """
    place = run.folder if folder is None else pathlib.Path(folder).expanduser()
    profile = load(place)
    run.check_current({"step": profile.step}, str((place / NAME).resolve()))
    return profile


def best_width(
    workdir: pathlib.Path | str,
    *,
    ms: float | int | None = None,
    macs: float | int | None = None,
    bytes: float | int | None = None,
    batch_size: int | None = None,
) -> float:
    """The best width within a budget, by the profile that was measured of a run before.

    Args:
        workdir: of the run.
        ms: 95th percentile of the latency of a batch, in milliseconds.
        macs: multiply-accumulates for one example.
        bytes: parameters, four bytes each, and activations.
        batch_size: for `ms` and `bytes`; one that was measured, the first if None.

    Raises:
        RunError, ProfileError: as for `load_current` and `Profile.best_width`.
    """
    return load_current(open_run(workdir)).best_width(ms=ms, macs=macs, bytes=bytes, batch_size=batch_size)


def _profile(raw: dict[str, Any]) -> Profile:
    batches = tuple(int(batch) for batch in raw["batch_sizes"])
    rows = tuple(_row(row, batches) for row in raw["rows"])
    metric = str(raw["metric"])
    if not rows or not batches or any(metric not in row.metrics for row in rows):
        raise ValueError(f"it must have rows, batch sizes, and the metric {metric} in each row")
    switch = {batch: float(raw["switch_ms"][str(batch)]) for batch in batches}
    return Profile(str(raw["device"]), str(raw["jax"]), int(raw["step"]), metric, batches, switch, rows)


def _row(raw: dict[str, Any], batches: tuple[int, ...]) -> ProfiledWidth:
    def latency(times: dict[str, Any]) -> Latency:
        return Latency(float(times["median_ms"]), float(times["p95_ms"]), int(times["runs"]))

    return ProfiledWidth(
        float(raw["width"]),
        int(raw["params"]),
        int(raw["macs"]),
        {str(name): float(value) for name, value in raw["metrics"].items()},
        {batch: int(raw["activation_bytes"][str(batch)]) for batch in batches},
        {batch: latency(raw["latency"][str(batch)]) for batch in batches},
    )
