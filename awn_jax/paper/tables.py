"""Tables of records, as Markdown: the paper's number beside ours, and what every number rests on."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from awn_jax.evaluation import Sweep
from awn_jax.paper import published
from awn_jax.paper.experiments import CONTENDERS, PAIRS, TARGETS, Experiment
from awn_jax.paper.gaps import gap
from awn_jax.paper.records import QUARTERS, Record, mean_curve

NAMES = {
    "shared_bn": "ordinary, one batch norm",
    "s_net": "S-Net",
    "us_net": "US-Net",
    "us_net_distilled": "US-Net, distilled",
    "us_net_tuned": "US-Net, tuned recipe",
    "us_net_dropout": "US-Net, tuned recipe, dropout",
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
    "awn_2": "AWN, 2 widths",
    "awn_8": "AWN, 8 widths",
    "awn_full": "triangular, full width only",
    "ordinary_full": "ordinary, full width only",
}
VIEWS = {"test": "every width", "test 4": "4 widths", "test 10": "10 widths", "test 20": "20 widths"}
Records = Mapping[Experiment, Record]


def label(method: str, view: str = "test") -> str:
    """What to call a method, and for a US-Net the number of widths that it was calibrated at."""
    name = NAMES.get(method, method)
    return f"{name}, calibrated at {VIEWS[view]}" if method.startswith("us_net") else name


def chosen(records: Records, dataset: str, method: str) -> list[Record]:
    """The records of a method on a data set, by seed."""
    return [
        r
        for e, r in sorted(records.items(), key=lambda item: item[0].seed)
        if (e.dataset, e.method) == (dataset, method)
    ]


def mean(values: Iterable[float]) -> str:
    """Percent; with several values their mean and standard deviation."""
    percent = [100 * value for value in values]
    if len(percent) == 1:
        return f"{percent[0]:.2f}"
    return f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def basis(records: Sequence[Record]) -> str:
    """How many seeds, epochs and minutes, where; says so where a run is shorter than the paper's."""
    epochs = sorted({record.epochs for record in records})
    wanted = published.EPOCHS.get(records[0].dataset)
    short = f" of {wanted}" if wanted and epochs[0] < wanted else ""
    minutes = statistics.mean(record.seconds for record in records) / 60
    hardware = ", ".join(sorted({record.hardware for record in records}))
    return f"{'/'.join(f'{e:g}' for e in epochs)}{short} epochs; seed {_seeds(records)}; {minutes:.0f} min; {hardware}"


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(str(record.seed) for record in records)


def views(records: Sequence[Record]) -> list[str]:
    """The test curves that records have, every width last."""
    return [view for view in ("test 4", "test 10", "test 20", "test") if all(view in r.curves for r in records)]


def worst_dip(sweep: Sweep) -> float:
    """The most that a width loses to a narrower one, in percent."""
    best, dip = 0.0, 0.0
    for row in sweep.rows:
        dip, best = max(dip, best - row.top1), max(best, row.top1)
    return 100 * dip


def table1(records: Records, dataset: str) -> str:
    """Test and training accuracy at the four trained widths."""
    rows = []
    for method in TARGETS["table1"].methods:
        found = [record for record in chosen(records, dataset, method) if "train" in record.curves]
        if found:
            paper = dict(zip(QUARTERS, published.TABLE_1[method], strict=True)) if dataset == "mnist" else {}
            for view in ("test", "train"):
                cells = []
                for width in QUARTERS:
                    theirs = f" ({paper[width]:.2f})" if view == "test" and paper else ""
                    cells.append(mean(record.curves[view].at(width).top1 for record in found) + theirs)
                rows.append([NAMES[method], view, *cells, basis(found)])
    return markdown(["top-1 %", "images", "¼ (paper)", "½", "¾", "1", "runs"], rows)


def table2(records: Records, dataset: str, methods: Sequence[str] = CONTENDERS) -> str:
    """The area under the curve of every method, the accuracy at four widths, and the worst dip of the curve."""
    rows = []
    for method in methods:
        found = chosen(records, dataset, method)
        for view in views(found) if found else ():
            curves = [record.curves[view] for record in found]
            key = f"{method} {view.removeprefix('test').strip()}".strip()
            paper = published.TABLE_2.get(dataset, {}).get(key)
            rows.append(
                [
                    label(method, view),
                    mean(curve.auc for curve in curves),
                    "" if paper is None else f"{paper:.2f}",
                    mean(curve.mean10 for curve in curves),
                    *(mean(curve.at(width).top1 for curve in curves) for width in QUARTERS),
                    f"{max(map(worst_dip, curves)):.2f}",
                    f"{curves[0].rows[-1].params:,}",
                    basis(found),
                ]
            )
    header = ["method", "AUC %", "paper", "mean of 10", "¼", "½", "¾", "1", "worst dip", "parameters", "runs"]
    return markdown(header, rows)


def fig4(records: Records, dataset: str) -> str:
    """The area against the number of widths trained."""
    return table2(records, dataset, TARGETS["fig4"].methods)


def fig6(records: Records, dataset: str) -> str:
    """Trained at full width alone."""
    rows = [
        [
            NAMES[method],
            mean(record.curves["test"].auc for record in found),
            f"{published.FIGURE_6[method]:.2f}" if dataset == "cifar10" else "",
            mean(record.curves["test"].at(1.0).top1 for record in found),
            basis(found),
        ]
        for method in TARGETS["fig6"].methods
        if (found := chosen(records, dataset, method))
    ]
    return markdown(["layers", "AUC %", "paper", "full width", "runs"], rows)


def ablation(records: Records, dataset: str) -> str:
    """What each change to the recipe gives by itself."""
    return table2(records, dataset, TARGETS["ablation"].methods)


def gaps(records: Records, dataset: str) -> str:
    """By how many points AWNs lie above US-Nets at equal width, operations and parameters: mean, least and most."""
    rows = []
    for method, rival in PAIRS:
        ours, theirs = (chosen(records, dataset, name) for name in (method, rival))
        if ours and theirs:
            cells = []
            for quantity in ("width", "macs", "params"):
                one, other = (mean_curve(found, "test", quantity) for found in (ours, theirs))
                above = gap(one, other)
                cells.append(f"{above.mean:+.2f} ({above.least:+.2f} to {above.most:+.2f})")
            macs = [found[0].curves["test"].rows[0].macs / 1e6 for found in (ours, theirs)]
            seeds = f"{_seeds(ours)}; {_seeds(theirs)}"
            rows.append([label(method), label(rival), *cells, "{:.2f}, {:.2f}".format(*macs), seeds])
    header = ["above", "equal α", "equal operations", "equal parameters", "begin at, million operations", "seeds"]
    return markdown(["AWN", *header], rows)


TABLES = {
    "table1": table1,
    "table2": table2,
    "fig4": fig4,
    "fig6": fig6,
    "ablation": ablation,
    "gaps": gaps,
}
