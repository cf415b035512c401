"""What stands in the cells of the tables."""

import statistics
from collections.abc import Iterable, Sequence

from awn_jax.evaluation import Sweep, report
from awn_jax.paper import published
from awn_jax.paper.records import Record, Records
from awn_jax.paper.targets import Setting
from awn_jax.tasks import Metric

NAMES = {
    "shared_bn": "ordinary, one batch norm",
    "s_net": "S-Net",
    "us_net": "US-Net",
    "us_net_distilled": "US-Net, distilled",
    "us_net_tuned": "US-Net, tuned recipe",
    "us_net_dropout": "US-Net, tuned recipe, dropout",
    "us_net_wide": "US-Net, wide range",
    "awn_fixed": "AWN, 4 widths",
    "awn_random": "AWN, random widths",
    "awn": "AWN, all widths",
    "awn_distilled": "AWN, all widths, distilled",
    "awn_tuned": "AWN, all widths, tuned recipe",
    "awn_dropout": "AWN, all widths, tuned recipe, dropout",
    "awn_ends": "narrowest and widest weighted",
    "awn_core": "AWN, all widths, dense first quarter",
    "awn_visible": "initialised by visible inputs",
    "awn_adamw": "dense first quarter, AdamW",
    "awn_mirrored": "dense first quarter, AdamW, mirrored images",
    "awn_wide": "AWN, all widths, wide range",
    "awn_2": "AWN, 2 widths",
    "awn_8": "AWN, 8 widths",
    "awn_full": "triangular, full width only",
    "ordinary_full": "ordinary, full width only",
}
VIEWS = {"test": "every width", "test 4": "4 widths", "test 10": "10 widths", "test 20": "20 widths"}
_FRACTIONS = {0.25: "¼", 0.5: "½", 0.75: "¾"}


def label(method: str, view: str = "test") -> str:
    """What to call a method, and for a US-Net the number of widths that it was calibrated at."""
    name = NAMES.get(method, method)
    return f"{name}, calibrated at {VIEWS[view]}" if method.startswith("us_net") else name


def width_label(width: float) -> str:
    """A width as a heading: ¼, ½, ¾, or its digits."""
    return _FRACTIONS.get(width, f"{width:g}")


def chosen(records: Records, setting: Setting, method: str) -> list[Record]:
    """The records of a method in a setting, by seed."""
    found = [record for trial, record in records.items() if (trial.setting, trial.method) == (setting, method)]
    return sorted(found, key=lambda record: record.seed)


def metric_of(curve: Sweep) -> Metric:
    """How the metric that a curve is drawn of is shown."""
    return report.shown(curve)[curve.metric]


def spread(values: Iterable[float], metric: Metric) -> str:
    """The mean of the seeds' values as the metric is shown; of several, with their standard deviation."""
    shown = [metric.scale * value for value in values]
    mean = f"{statistics.mean(shown):.{metric.digits}f}"
    return mean if len(shown) == 1 else f"{mean} ± {statistics.stdev(shown):.{metric.digits}f}"


def at_width(curves: Sequence[Sweep], width: float) -> str:
    """`spread` of the seeds' curves at a width; empty where the networks are not that narrow."""
    return spread((c.value(width) for c in curves), metric_of(curves[0])) if curves[0].alpha_min <= width else ""


def basis(records: Sequence[Record]) -> str:
    """How many epochs, which seeds, how many minutes, where; says so where a run is shorter than the published one."""
    epochs = sorted({record.epochs for record in records})
    wanted = published.epochs(records[0].trial.setting, records[0].method)
    short = f" of {wanted}" if wanted and epochs[0] < wanted else ""
    minutes = statistics.mean(record.seconds for record in records) / 60
    hardware = " and ".join(sorted({record.hardware for record in records}))
    return f"{'/'.join(f'{e:g}' for e in epochs)}{short} epochs; seed {seeds(records)}; {minutes:.0f} min; {hardware}"


def seeds(records: Sequence[Record]) -> str:
    """The seeds of some records."""
    return ", ".join(str(record.seed) for record in records)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
