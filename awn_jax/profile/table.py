"""What each width costs, as a table to read and to choose from."""

import dataclasses
from collections.abc import Mapping

from awn_jax.errors import UserError
from awn_jax.tasks import Metric


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
    """What one width costs, and what it gives for that.

    Attributes:
        width: α.
        params, macs: see `network.Cost`.
        metrics: of the task, by name.
        activation_bytes: by batch size, the scratch memory of its compiled program: the most that its activations take
            at one time.
        latency: by batch size.
    """

    width: float
    params: int
    macs: int
    metrics: Mapping[str, float]
    activation_bytes: Mapping[int, int]
    latency: Mapping[int, Latency]


@dataclasses.dataclass(frozen=True)
class Profile:
    """What the widths of a network cost on one machine.

    Attributes:
        device: what it was measured on.
        jax: version of JAX.
        step: training step of the network.
        metric: the name of the metric that the best width is best by.
        batch_sizes: that latency and memory were measured at.
        switch_ms: by batch size, how much longer a call takes after another width's call than after its own, median.
        rows: ascending widths.
    """

    device: str
    jax: str
    step: int
    metric: str
    batch_sizes: tuple[int, ...]
    switch_ms: Mapping[int, float]
    rows: tuple[ProfiledWidth, ...]

    def best_width(
        self,
        *,
        ms: float | int | None = None,
        macs: float | int | None = None,
        bytes: float | int | None = None,
        batch_size: int | None = None,
    ) -> float:
        """The width with the best metric within a budget; of equally good ones, the one with the fewest operations.

        Args:
            ms: 95th percentile of the latency of a batch, in milliseconds.
            macs: multiply-accumulates for one example.
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
            wanted, needed = (", ".join(f"{n}={v:g}" for n, v in found.items()) for found in (given, least))
            raise ProfileError(
                f"no width meets the budget {wanted} at batch size {batch}; the least there is: {needed}"
            )
        return max(meeting, key=lambda row: (row.metrics[self.metric], -row.macs)).width


def table(profile: Profile, metric: Metric) -> str:
    """A readable table, one line for each width.

    Args:
        profile: to show.
        metric: how its metric is shown.
    """
    size = max(7, len(metric.title))
    heads = [f"{f'batch {batch}: median ms':>20} {'p95 ms':>8} {'memory':>8}" for batch in profile.batch_sizes]
    lines = ["  ".join([f"{'width':>7} {'params':>10} {'MACs':>14} {metric.title:>{size}}", *heads])]
    for row in profile.rows:
        value = metric.show(row.metrics[profile.metric])
        parts = [f"{row.width:7.4f} {row.params:10,d} {row.macs:14,d} {value:>{size}}"]
        for batch in profile.batch_sizes:
            times, memory = row.latency[batch], row.activation_bytes[batch] / 2**20
            parts.append(f"{times.median_ms:20.3f} {times.p95_ms:8.3f} {memory:6.2f}Mi")
        lines.append("  ".join(parts))
    return "\n".join(lines)


def cells(profile: Profile) -> list[list[object]]:
    """The table as cells, its first row the names of the columns."""
    names, metrics = ("activation_bytes", "median_ms", "p95_ms", "runs"), list(profile.rows[0].metrics)
    measured = [f"{name}_{batch}" for batch in profile.batch_sizes for name in names]
    lines: list[list[object]] = [["width", "params", "macs", *metrics, *measured]]
    for row in profile.rows:
        by_batch = [
            value
            for batch in profile.batch_sizes
            for value in (row.activation_bytes[batch], *dataclasses.astuple(row.latency[batch]))
        ]
        lines.append([row.width, row.params, row.macs, *(row.metrics[name] for name in metrics), *by_batch])
    return lines
