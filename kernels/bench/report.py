"""Results of the layers' benchmark, as text and as a picture."""

import pathlib

import numpy as np

from .measure import Result


def table(results: list[Result]) -> str:
    """Returns the results as aligned text."""
    head = f"{'shape':30} {'pass':17} {'implementation':15} {'ms':>8} {'±':>4} {'GMAC':>7} {'peak':>5}"
    lines = [f"{head} {'vs masked':>9} {'vs equal weights':>16}"]
    for r in results:
        lines.append(
            f"{r.shape:30} {r.passes:17} {r.implementation:15} {r.milliseconds:8.2f} {r.spread:4.0%} {r.gmacs:7.3f} "
            f"{r.peak:5.0%} {r.vs_masked:9.2f} {r.vs_equal_weights:16.2f}"
        )
    return "\n".join(lines)


def plot(results: list[Result], path: pathlib.Path) -> None:
    """Writes a bar chart of the speeds against the masked dense convolution."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shapes = list(dict.fromkeys(r.shape for r in results))
    series = list(dict.fromkeys((r.implementation, r.passes) for r in results))
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.25 * len(shapes) * len(series)), layout="constrained")
    height = 0.8 / len(series)
    for i, (implementation, passes) in enumerate(series):
        speeds = {r.shape: r.vs_masked for r in results if (r.implementation, r.passes) == (implementation, passes)}
        places = [shapes.index(shape) + i * height for shape in speeds]
        axes.barh(places, list(speeds.values()), height, label=f"{implementation}, {passes}")
    axes.set_yticks(np.arange(len(shapes)) + 0.4 - height / 2, shapes)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("speed against the masked dense convolution")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
