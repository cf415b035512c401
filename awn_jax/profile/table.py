"""What each width costs, as a table to keep, to draw and to choose from."""

import csv
import dataclasses
import io
import pathlib
from typing import Any

from awn_jax import files
from awn_jax import run as runs
from awn_jax.errors import UserError
from awn_jax.tasks import Metric

NAME = "profile"


class ProfileError(UserError, ValueError):
    """A profile is missing, damaged, or holds no width that a budget allows; the message says which."""


@dataclasses.dataclass(frozen=True)
class Latency:
    """Times of one program, called again and again.

    Attributes:
        median_ms, p95_ms: median and 95th percentile, in milliseconds for a whole batch.
        runs: how many were timed.
    """

    median_ms: float
    p95_ms: float
    runs: int


@dataclasses.dataclass(frozen=True)
class ProfiledWidth:
    """One width.

    Attributes:
        width: α.
        params, macs: see `network.Cost`.
        value: the task's metric on the test images.
        activation_bytes: by batch size, the scratch memory of its compiled program: the most that its activations take
            at one time.
        latency: by batch size.
    """

    width: float
    params: int
    macs: int
    value: float
    activation_bytes: dict[int, int]
    latency: dict[int, Latency]


@dataclasses.dataclass(frozen=True)
class Profile:
    """What each width of a network costs on one machine.

    Attributes:
        device: what it was measured on.
        jax: version of JAX.
        step: training step of the network.
        metric: name of the task's metric.
        batch_sizes: that latency and memory were measured at.
        switch_ms: by batch size, how much longer a call takes after another width's call than after its own, median.
        rows: ascending widths.
    """

    device: str
    jax: str
    step: int
    metric: str
    batch_sizes: tuple[int, ...]
    switch_ms: dict[int, float]
    rows: tuple[ProfiledWidth, ...]

    def best_width(
        self,
        *,
        ms: float | int | None = None,
        macs: float | int | None = None,
        bytes: float | int | None = None,
        batch_size: int | None = None,
    ) -> float:
        """The most accurate width within a budget; of equally accurate ones, the one with the fewest operations.

        Args:
            ms: 95th percentile of the latency of a batch, in milliseconds.
            macs: multiply-accumulates for one image.
            bytes: parameters, four bytes each, and activations.
            batch_size: for `ms` and `bytes`; one of `batch_sizes`, the first if None.

        Raises:
            ValueError: if there is no budget.
            ProfileError: if no width meets the budget, or `batch_size` was not measured.
        """
        batch = self.batch_sizes[0] if batch_size is None else batch_size
        if batch not in self.batch_sizes:
            raise ProfileError(f"batch_size must be one of the measured {self.batch_sizes}, got {batch_size}")
        budgets = {"ms": ms, "macs": macs, "bytes": bytes}
        given = {name: budget for name, budget in budgets.items() if budget is not None}
        if not given:
            raise ValueError("a budget must be given: ms, macs or bytes")

        def spent(row: ProfiledWidth) -> dict[str, float]:
            memory = 4 * row.params + row.activation_bytes[batch]
            return {"ms": row.latency[batch].p95_ms, "macs": row.macs, "bytes": memory}

        meeting = [row for row in self.rows if all(spent(row)[name] <= budget for name, budget in given.items())]
        if not meeting:
            least = {name: min(spent(row)[name] for row in self.rows) for name in given}
            wanted = ", ".join(f"{name}={budget:g}" for name, budget in given.items())
            needed = ", ".join(f"{name}={value:.10g}" for name, value in least.items())
            raise ProfileError(
                f"no width meets the budget {wanted} at batch size {batch}; the least there is: {needed}"
            )
        return max(meeting, key=lambda row: (row.value, -row.macs)).width

    def text(self, metric: Metric) -> str:
        """A readable table, one line for each width; the metric says how it is shown."""
        heads = [f"{f'batch {batch}: median ms':>20} {'p95 ms':>8} {'memory':>8}" for batch in self.batch_sizes]
        lines = ["  ".join([f"{'width':>7} {'params':>9} {'MACs':>13} {metric.title:>7}", *heads])]
        for row in self.rows:
            cells = [f"{row.width:7.4f} {row.params:9,d} {row.macs:13,d} {metric.show(row.value):>7}"]
            for batch in self.batch_sizes:
                times, memory = row.latency[batch], row.activation_bytes[batch] / 2**20
                cells.append(f"{times.median_ms:20.3f} {times.p95_ms:8.3f} {memory:6.2f}Mi")
            lines.append("  ".join(cells))
        return "\n".join(lines)


def save(profile: Profile, folder: pathlib.Path) -> None:
    """Writes `profile.json`."""
    files.write_json(folder / f"{NAME}.json", dataclasses.asdict(profile))


def load(folder: pathlib.Path) -> Profile:
    """Reads the profile of a workdir, or of another folder that `save` wrote to.

    Raises:
        ProfileError: if there is none or it cannot be read.
    """
    path = folder / f"{NAME}.json"
    try:
        raw = files.read_json(path)
        return Profile(**{**raw, **_parsed(raw)})
    except FileNotFoundError:
        raise ProfileError(f"{path} is not there: run python -m awn_jax.profile --workdir={folder} first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProfileError(f"{path} is not a profile ({' '.join(str(error).split())}): measure it again") from error


def load_current(run: runs.Run) -> Profile:
    """The profile of a run as it is now.

    Raises:
        ProfileError: if there is none or it cannot be read.
        RunError: if it is of another step than the newest checkpoint's.
    """
    found = load(run.folder)
    run.check_current({"step": found.step}, f"{NAME}.json")
    return found


def _parsed(raw: dict[str, Any]) -> dict[str, Any]:
    def by_batch(values: dict[str, Any]) -> dict[int, Any]:
        return {int(batch): Latency(**value) if isinstance(value, dict) else value for batch, value in values.items()}

    rows = []
    for row in raw["rows"]:
        parsed = {name: by_batch(row[name]) for name in ("activation_bytes", "latency")}
        rows.append(ProfiledWidth(**{**row, **parsed}))
    return {"rows": tuple(rows), "batch_sizes": tuple(raw["batch_sizes"]), "switch_ms": by_batch(raw["switch_ms"])}


def best_width(
    workdir: pathlib.Path | str,
    *,
    ms: float | int | None = None,
    macs: float | int | None = None,
    bytes: float | int | None = None,
    batch_size: int | None = None,
) -> float:
    """`Profile.best_width` of the profile saved in a workdir; one of an older checkpoint is refused."""
    return load_current(runs.open_run(workdir)).best_width(ms=ms, macs=macs, bytes=bytes, batch_size=batch_size)


def plot(profile: Profile, metric: Metric, path: pathlib.Path) -> None:
    """Draws latency, operations and memory over width, and the metric over latency."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(13, 3.6), layout="constrained")
    by_time, by_macs, by_memory, quality = figure.subplots(1, 4)
    at = [row.width for row in profile.rows]
    values = [metric.scale * row.value for row in profile.rows]
    for batch in profile.batch_sizes:
        median = [row.latency[batch].median_ms / batch for row in profile.rows]
        worst = [row.latency[batch].p95_ms / batch for row in profile.rows]
        (line,) = by_time.plot(at, median, ".-", label=f"batch {batch}")
        by_time.fill_between(at, median, worst, alpha=0.2, color=line.get_color())
        by_memory.plot(at, [row.activation_bytes[batch] / 2**20 for row in profile.rows], ".-", label=f"batch {batch}")
        quality.plot(median, values, ".", label=f"batch {batch}")
    by_macs.plot(at, [row.macs / 1e6 for row in profile.rows], ".-", label="multiply-accumulates, millions")
    by_macs.plot(at, [row.params / 1e3 for row in profile.rows], ".-", label="parameters, thousands")
    by_time.set(xlabel="width α", ylabel="ms for one image, median to 95th percentile")
    by_macs.set(xlabel="width α", yscale="log")
    by_memory.set(xlabel="width α", ylabel="peak activation memory, MiB", yscale="log")
    quality.set(xlabel="median ms for one image", ylabel=metric.title, xscale="log")
    for axes in (by_time, by_macs, by_memory, quality):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(profile.device, fontsize="small")
    files.write_figure(figure, path, dpi=120)


def write_csv(profile: Profile, path: pathlib.Path) -> None:
    """Writes the table as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(cells(profile))
    files.write_text(path, text.getvalue())


def cells(profile: Profile) -> list[list[object]]:
    """The table as cells, its first row the names of the columns."""
    names = ["activation_bytes", "median_ms", "p95_ms", "runs"]
    heads = [
        "width",
        "params",
        "macs",
        profile.metric,
        *(f"{name}_{batch}" for batch in profile.batch_sizes for name in names),
    ]
    lines: list[list[object]] = [list(heads)]
    for row in profile.rows:
        measured = [
            value
            for batch in profile.batch_sizes
            for value in (row.activation_bytes[batch], *dataclasses.astuple(row.latency[batch]))
        ]
        lines.append([row.width, row.params, row.macs, row.value, *measured])
    return lines
