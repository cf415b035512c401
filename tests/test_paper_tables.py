"""The tables of the paper, from records whose numbers are known, and the names in them."""

import dataclasses
import shutil

import numpy as np
import pytest

from awn_jax.evaluation import Row, Sweep
from awn_jax.paper import cells, comparisons, output, published, records, tables, targets
from awn_jax.paper.curves import Curves, gap, standard_error
from awn_jax.paper.records import Record
from awn_jax.paper.targets import TARGETS, Setting, Trial

DIGITS = Setting("lenet", "digits")


def trial(method: str, seed: int = 0, setting: Setting = DIGITS) -> Trial:
    return Trial(setting, method, seed)


def curve(*values: float, begin: float = 0.25, metric: str = "top1") -> Sweep:
    """A straight curve's sweep: so many sub-networks at evenly spaced widths."""
    widths = np.linspace(begin, 1, len(values)).tolist()
    rows = tuple(Row(w, int(1000 * w), int(10_000 * w), {metric: v}) for w, v in zip(widths, values, strict=True))
    return Sweep(
        rows, tuple((np.add(widths[1:], widths[:-1]) / 2).tolist()), begin, metric, float(np.mean(values)), 0.5
    )


def record(method: str, seed: int, test: Sweep, setting: Setting = DIGITS, **more) -> Record:
    facts = {"seconds": 60.0, "hardware": "a machine", "versions": {}, "command": "", "changes": {}} | more
    curves = {"test": test, "train": test}
    return Record(setting.dataset, method, seed, 6.0, 10, curves=curves, model=setting.model, **facts)


def known(*found: Record) -> dict[Trial, Record]:
    return {one.trial: one for one in found}


def row(table: str, name: str) -> dict[str, str]:
    """The cells of a Markdown table's row that begins with a name, by heading."""
    header, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    (line,) = (line for line in lines if line[0] == name)
    return dict(zip(header, line, strict=True))


def test_rows_show_mean_deviation_and_seeds(tmp_path):
    found = known(
        *(record("awn", seed, curve(*values)) for seed, values in ((2, (0.5, 0.5, 0.6, 0.8)), (0, (0.4,) * 4)))
    )
    cells_of_awn = row(tables.table2(found, DIGITS), "AWN, all widths")
    assert cells_of_awn["AUC, top-1 %"] == "50.00 ± 14.14"
    assert cells_of_awn["¼"] == "45.00 ± 7.07"
    assert cells_of_awn["1"] == "60.00 ± 28.28"
    assert cells_of_awn["worst dip"] == "0.00"
    assert cells_of_awn["runs"] == "6 epochs; seed 0, 2; 1 min; a machine"
    assert cells_of_awn["parameters"] == "1,000"


def test_a_row_shows_its_tasks_own_metric_and_the_widths_that_there_are():
    found = known(
        record("awn_fixed", 0, curve(0.5, 0.5, 0.75, begin=0.35, metric="own"), Setting("mobilenet_v2", "cifar10"))
    )
    shown = row(tables.table2(found, Setting("mobilenet_v2", "cifar10")), "AWN, 4 widths")
    assert list(shown)[1:8] == ["AUC, own", "paper", "mean of 10", "0.35", "½", "¾", "1"]
    assert (shown["AUC, own"], shown["paper"], shown["1"]) == ("0.5833", "90.91", "0.7500")
    assert shown["runs"].startswith("6 of 700 epochs")


def test_worst_dip_is_the_most_that_a_width_loses_to_a_narrower_one():
    assert tables.worst_dip(curve(0.5, 0.75, 0.5, 0.625, 0.875, 0.75)) == 25.0
    assert tables.worst_dip(curve(0.5, 0.75, 0.875)) == 0.0


def test_pictures_are_drawn_of_records_alone(tmp_path):
    methods = {method for target in output.PICTURES for method in TARGETS[target].methods}
    found = known(*(record(m, s, curve(0.5, 0.6 + s / 10, 0.7)) for m in methods for s in (0, 1)))
    for target, draw in output.PICTURES.items():
        draw(found, DIGITS, tmp_path / f"{target}.png")
        assert (tmp_path / f"{target}.png").stat().st_size > 10_000


def test_a_gap_is_the_difference_where_both_curves_exist():
    ours, theirs = (
        Curves(np.array(x, float), np.array([y], float)) for x, y in (([0, 2, 4], [1, 3, 3]), ([1, 3, 5], [1, 1, 5]))
    )
    # Differences at 1, 2, 3 and 4: 1, 2, 2 and 0.
    assert gap(ours, theirs)[:5] == pytest.approx((0.0, (1.5 + 2 + 1) / 3, 2.0, 1.0, 4.0))
    with pytest.raises(ValueError, match=r"curves must overlap, got 0.0 to 4.0 and 6.0 to 8.0"):
        gap(ours, Curves(np.array([6.0, 8.0]), np.array([[0.0, 0.0]])))


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([[4, 4], [6, 6]], "above everywhere"),
        ([[4, 2], [8, 2]], "above"),
        ([[4, 4], [0, 0]], "level"),
        ([[1, 0], [1, 0]], "below"),
        ([[0, 0], [0, 0]], "below everywhere"),
    ],
)
def test_above_is_said_only_where_the_difference_exceeds_its_standard_error(ours, verdict):
    places = np.array([0.0, 1.0])
    found = gap(Curves(places, np.array(ours, float)), Curves(places, np.array([[1, 1], [1, 2]], float)))
    assert found.verdict == verdict


def test_standard_errors_are_welchs():
    ours, theirs = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])
    # Variances 1 and 2 of three and two values.
    assert standard_error(ours, theirs) == pytest.approx(np.sqrt(1 / 3 + 2 / 2))
    assert standard_error(ours, theirs[:1]) is None


def test_gaps_give_standard_errors_where_both_have_several_seeds():
    ours = [record("awn", seed, curve(*([0.6 + seed / 50] * 3))) for seed in (0, 1)]
    theirs = [record("us_net", seed, curve(0.5, 0.5, 0.5)) for seed in (0, 1)]
    one, several = (comparisons.gaps(known(*ours, *rivals), DIGITS) for rivals in (theirs[:1], theirs))
    assert row(one, "AWN, all widths")["equal α"] == "+11.00 (+11.00 to +11.00)"
    assert row(several, "AWN, all widths")["equal α"] == "+11.00 ± 1.00, above everywhere (+11.00 to +11.00)"
    assert row(several, "AWN, all widths")["seeds"] == "0, 1; 0, 1"


def test_wide_range_says_what_the_usual_widths_lose():
    usual = [record("awn", seed, curve(0.8, 0.8, 0.8, 0.8)) for seed in (0, 1)]
    # Widths .05, .2, .35, …: at ¼ the network of .2, and 0.6 + 0.15 · ⅓ on the straight line.
    widths = np.linspace(0.05, 1, 20)
    wide = [record("awn_wide", s, curve(*(0.6 + 0.1 * (widths > 0.2) + s / 50), begin=0.05)) for s in (0, 1)]
    table = comparisons.wide_range(known(*usual, *wide, record("us_net", 0, curve(0.5, 0.5))), DIGITS)
    assert "US-Net" not in table
    lost = row(table, "AWN, all widths, wide range")
    assert (lost["trained for"], lost["0.05"], lost["¼"]) == ("[0.05, 1]", "61.00 ± 1.41", "71.00 ± 1.41")
    assert (lost["¼ loses"], lost["AUC loses"]) == ("+9.00 ± 1.00", "+9.00 ± 1.00")
    assert row(table, "AWN, all widths")["0.05"] == ""


def test_records_that_do_not_belong_together_are_refused(tmp_path):
    one = record("awn", 0, curve(0.5, 0.5), fingerprint="ab")
    records.save(one, tmp_path)
    assert records.load_all(tmp_path) == {one.trial: one}
    for other, message in (
        (
            dataclasses.replace(one, seed=1, changes={"train.epochs": "3"}),
            "digits-awn-0 and digits-awn-1 .*not share a row",
        ),
        (dataclasses.replace(one, method="us_net", fingerprint="cd"), "other training images"),
    ):
        records.save(other, tmp_path)
        with pytest.raises(records.RecordError, match=message):
            records.load_all(tmp_path)
        (tmp_path / f"{other.trial.name}.json").unlink()
    shutil.copy(tmp_path / "digits-awn-0.json", tmp_path / "copy.json")
    with pytest.raises(records.RecordError, match="second record of digits-awn-0"):
        records.load_all(tmp_path)
    (tmp_path / "copy.json").write_text('{"curves": {"test": {"rows": [{"width": NaN}]}}}')
    with pytest.raises(records.RecordError, match=r"copy.json is no record of a run \(.*NaN is no number of JSON"):
        records.load_all(tmp_path)


@pytest.mark.parametrize("folder", ["docs/results", "docs/results/six_epochs"])
def test_committed_tables_are_those_of_the_committed_records(repository, folder):
    found = records.load_all(repository / folder / "records")
    page, checked = (repository / "docs/results.md").read_text(), 0
    for setting in {one.setting for one in found}:
        for target, make in output.TABLES.items():
            path = repository / folder / f"{target}_{setting.name}.md"
            if path.exists():
                assert make(found, setting) + "\n" == path.read_text()
                assert path.read_text() in page
                checked += 1
    assert checked >= 3


# ── names


def test_every_method_of_a_target_has_a_name_and_its_published_figures_are_found():
    for target in TARGETS.values():
        for method in target.methods:
            assert method in cells.NAMES or method in targets.SINGLES
    keys = {key.split()[0] for found in published.TABLE_2.values() for key in found}
    assert keys <= set(targets.CONTENDERS)
    assert all(set(found) == set(TARGETS["table1"].methods) for found in published.TABLE_1.values())
    assert all(set(found) == set(TARGETS["fig6"].methods) for found in published.FIGURE_6.values())


def test_only_other_networks_than_the_papers_are_named_in_files():
    assert trial("awn", 3).name == "digits-awn-3"
    assert Trial(Setting("mobilenet_v2", "cifar10"), "us_net", 0).name == "mobilenet_v2-cifar10-us_net-0".replace(
        "-", "_", 1
    )
