"""A profile, drawn."""

import pathlib

from awn_jax import files
from awn_jax.profile.table import Profile
from awn_jax.tasks import Metric


def plot(profile: Profile, metric: Metric, path: pathlib.Path) -> None:
    """Draws latency, operations and memory over width, and the metric over latency.

    Args:
        profile: to draw.
        metric: how its metric is shown.
        path: of the picture.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(13, 3.6), layout="constrained")
    by_time, by_macs, by_memory, good = figure.subplots(1, 4)
    at = [row.width for row in profile.rows]
    values = [metric.scale * row.metrics[profile.metric] for row in profile.rows]
    for batch in profile.batch_sizes:
        median = [row.latency[batch].median_ms / batch for row in profile.rows]
        worst = [row.latency[batch].p95_ms / batch for row in profile.rows]
        (line,) = by_time.plot(at, median, ".-", label=f"batch {batch}")
        by_time.fill_between(at, median, worst, alpha=0.2, color=line.get_color())
        by_memory.plot(at, [row.activation_bytes[batch] / 2**20 for row in profile.rows], ".-", label=f"batch {batch}")
        good.plot(median, values, ".", label=f"batch {batch}")
    by_macs.plot(at, [row.macs / 1e6 for row in profile.rows], ".-", label="multiply-accumulates, millions")
    by_macs.plot(at, [row.params / 1e3 for row in profile.rows], ".-", label="parameters, thousands")
    by_time.set(xlabel="width α", ylabel="ms for one image, median to 95th percentile")
    by_macs.set(xlabel="width α", yscale="log")
    by_memory.set(xlabel="width α", ylabel="peak activation memory, MiB", yscale="log")
    good.set(xlabel="median ms for one image", ylabel=metric.title, xscale="log")
    for axes in (by_time, by_macs, by_memory, good):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    # A name is not to be read as mathematics.
    figure.suptitle(profile.device, fontsize="small", parse_math=False)
    files.write_figure(figure, path)
