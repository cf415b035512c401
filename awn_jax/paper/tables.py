"""The paper's tables from records, as Markdown: the paper's number beside ours, and what every number rests on."""

from collections.abc import Sequence

from awn_jax.evaluation import Sweep
from awn_jax.paper import published
from awn_jax.paper.cells import NAMES, at_width, basis, chosen, label, markdown, metric_of, spread, width_label
from awn_jax.paper.measure import shown_widths
from awn_jax.paper.records import Record, Records
from awn_jax.paper.targets import CONTENDERS, TARGETS, Setting


def views(records: Sequence[Record]) -> list[str]:
    """The test curves that all records have, that of every width last."""
    return [view for view in ("test 4", "test 10", "test 20", "test") if all(view in r.curves for r in records)]


def worst_dip(curve: Sweep) -> float:
    """The most that a width loses to a narrower one, as the metric is shown."""
    best, dip = 0.0, 0.0
    for value in curve.values:
        dip, best = max(dip, best - value), max(best, value)
    return metric_of(curve).scale * dip


def table1(records: Records, setting: Setting) -> str:
    """The metric on test and training images at the four trained widths."""
    rows, title, widths = [], "", shown_widths(0.0)
    paper = published.TABLE_1.get(setting, {})
    for method in TARGETS["table1"].methods:
        found = [record for record in chosen(records, setting, method) if "train" in record.curves]
        for view in ("test", "train") if found else ():
            curves = [record.curves[view] for record in found]
            title, widths = metric_of(curves[0]).title, shown_widths(curves[0].alpha_min)
            theirs = [f" ({value:.2f})" for value in paper.get(method, ())] if view == "test" else []
            cells = [at_width(curves, width) + more for width, more in zip(widths, theirs or [""] * 4, strict=False)]
            rows.append([NAMES[method], view, *cells, basis(found)])
    first, *others = map(width_label, widths)
    return markdown([title, "images", f"{first} (paper)", *others, "runs"], rows)


def table2(records: Records, setting: Setting, methods: Sequence[str] = CONTENDERS) -> str:
    """The area under the curve of every method, the metric at four widths, and the worst dip of the curve."""
    groups = [(method, found) for method in methods if (found := chosen(records, setting, method))]
    first = groups[0][1][0].curves["test"]
    metric, digits = metric_of(first), metric_of(first).digits
    widths = shown_widths(min(record.curves["test"].alpha_min for _, found in groups for record in found))
    paper = published.TABLE_2.get(setting, {})
    rows = []
    for method, found in groups:
        for view in views(found):
            curves = [record.curves[view] for record in found]
            theirs = paper.get(f"{method} {view.removeprefix('test').strip()}".strip())
            rows.append(
                [
                    label(method, view),
                    spread((curve.auc for curve in curves), metric),
                    "" if theirs is None else f"{theirs:.2f}",
                    spread((curve.mean10 for curve in curves), metric),
                    *(at_width(curves, width) for width in widths),
                    f"{max(map(worst_dip, curves)):.{digits}f}",
                    f"{curves[0].rows[-1].params:,}",
                    basis(found),
                ]
            )
    at = map(width_label, widths)
    header = ["method", f"AUC, {metric.title}", "paper", "mean of 10", *at, "worst dip", "parameters", "runs"]
    return markdown(header, rows)


def fig4(records: Records, setting: Setting) -> str:
    """The area against the number of widths trained."""
    return table2(records, setting, TARGETS["fig4"].methods)


def fig6(records: Records, setting: Setting) -> str:
    """Trained at full width alone."""
    rows, title = [], ""
    paper = published.FIGURE_6.get(setting, {})
    for method in TARGETS["fig6"].methods:
        if found := chosen(records, setting, method):
            curves = [record.curves["test"] for record in found]
            metric = metric_of(curves[0])
            area, title = spread((curve.auc for curve in curves), metric), metric.title
            theirs = f"{paper[method]:.2f}" if method in paper else ""
            rows.append([NAMES[method], area, theirs, at_width(curves, 1.0), basis(found)])
    return markdown(["layers", f"AUC, {title}", "paper", "full width", "runs"], rows)


def ablation(records: Records, setting: Setting) -> str:
    """What each change to the recipe gives by itself."""
    return table2(records, setting, TARGETS["ablation"].methods)
