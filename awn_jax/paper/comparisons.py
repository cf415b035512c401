"""Tables that hold one method against another, with standard errors where both have several seeds."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from awn_jax.paper.cells import NAMES, at_width, basis, chosen, label, markdown, metric_of, seeds, spread, width_label
from awn_jax.paper.curves import Gap, curves, gap, standard_error
from awn_jax.paper.measure import shown_widths
from awn_jax.paper.records import Record, Records
from awn_jax.paper.targets import RIVALS, TARGETS, WIDENED, Setting


def gaps(records: Records, setting: Setting) -> str:
    """By how much AWNs lie above US-Nets at equal width, operations and parameters: mean, least and most."""
    rows = []
    for method, rival in RIVALS:
        ours, theirs = (chosen(records, setting, name) for name in (method, rival))
        if ours and theirs:
            digits = metric_of(ours[0].curves["test"]).digits
            cells = [
                _gap_cell(gap(curves(ours, "test", quantity), curves(theirs, "test", quantity)), digits)
                for quantity in ("width", "macs", "params")
            ]
            macs = [found[0].curves["test"].rows[0].macs / 1e6 for found in (ours, theirs)]
            both = f"{seeds(ours)}; {seeds(theirs)}"
            rows.append([label(method), label(rival), *cells, "{:.2f}, {:.2f}".format(*macs), both])
    header = ["against", "equal α", "equal operations", "equal parameters", "begin at, million operations", "seeds"]
    return markdown(["AWN", *header], rows)


def _gap_cell(found: Gap, digits: int) -> str:
    verdict = f", {found.verdict}" if found.verdict else ""
    reach = f"({found.least:+.{digits}f} to {found.most:+.{digits}f})"
    return f"{_signed(found.mean, found.error, digits)}{verdict} {reach}"


def wide_range(records: Records, setting: Setting) -> str:
    """What networks for the usual range of widths lose when the same weights serve narrower ones as well."""
    methods = {trial.method for trial in records if trial.setting == setting}
    there = {name: chosen(records, setting, name) for name in TARGETS["wide_range"].shown(methods)}
    tests = {name: [record.curves["test"] for record in found] for name, found in there.items()}
    begins = [swept[0].alpha_min for swept in tests.values()]
    narrowest, usual = min(begins), max(begins)
    widths = tuple(dict.fromkeys((narrowest, *shown_widths(usual))))
    metric = metric_of(next(iter(tests.values()))[0])
    rows = []
    for method, wide in [pair for pair in WIDENED if pair[0] in there]:
        for name in (method, wide):
            swept, areas = tests[name], curves(there[name], "test", "width").area(usual, 1.0)
            lost = _lost(there[method], there[wide], usual) if name == wide else ["", ""]
            rows.append(
                [
                    NAMES[name],
                    f"[{swept[0].alpha_min:g}, 1]",
                    spread(areas / metric.scale, metric),
                    *(at_width(swept, width) for width in widths),
                    *lost,
                    basis(there[name]),
                ]
            )
    first = width_label(usual)
    header = ["method", "trained for", f"AUC over [{first}, 1], {metric.title}", *map(width_label, widths)]
    return markdown([*header, f"{first} loses", "AUC loses", "runs"], rows)


def _lost(usual: list[Record], wide: list[Record], begin: float) -> list[str]:
    """What the narrowest of the usual widths loses, and the mean over them."""
    metric = metric_of(usual[0].curves["test"])
    at, areas = [], []
    for found in (usual, wide):
        at.append(metric.scale * np.array([record.curves["test"].value(begin) for record in found]))
        areas.append(curves(found, "test", "width").area(begin, 1.0))
    return [_difference(values, metric.digits) for values in (at, areas)]


def _difference(values: Sequence[Float[np.ndarray, " _"]], digits: int) -> str:
    """The mean of the first method's seeds less that of the second's."""
    error = standard_error(*values)
    return _signed(float(values[0].mean() - values[1].mean()), None if error is None else float(error), digits)


def _signed(value: float, error: float | None, digits: int) -> str:
    return f"{value:+.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
