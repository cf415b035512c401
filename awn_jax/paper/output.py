"""Where tables and pictures go."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping

from awn_jax import files
from awn_jax.errors import UserError
from awn_jax.paper import comparisons, figures, moments, tables
from awn_jax.paper.cells import chosen
from awn_jax.paper.records import RecordError, Records
from awn_jax.paper.targets import TARGETS, Setting, Trial
from awn_jax.paper.trials import Trainer

TABLES: Mapping[str, Callable[[Records, Setting], str]] = {
    "table1": tables.table1,
    "table2": tables.table2,
    "fig4": tables.fig4,
    "fig6": tables.fig6,
    "ablation": tables.ablation,
    "gaps": comparisons.gaps,
    "wide_range": comparisons.wide_range,
}
PICTURES: Mapping[str, Callable[[Records, Setting, pathlib.Path], None]] = {
    "fig4": figures.trained_widths,
    "fig5": figures.against_width,
    "fig6": figures.full_width_only,
    "macs": figures.against_macs,
    "wide_range": figures.wide_range,
}


@dataclasses.dataclass(frozen=True)
class Page:
    """One target for one network and data set.

    Attributes:
        target: of `TARGETS`.
        setting: the network and the data set.
        folder: for its files.
        document: Markdown file that takes its table as well, or None.
    """

    target: str
    setting: Setting
    folder: pathlib.Path
    document: pathlib.Path | None = None

    @property
    def name(self) -> str:
        """How its files, and its place in the document, are called."""
        return f"{self.target}_{self.setting.name}"

    def check(self, trials: Iterable[Trial]) -> None:
        """Makes sure that the document has a place for the table, should these runs fill it.

        Raises:
            RecordError: if it has none.
        """
        filled = TARGETS[self.target].shown(trial.method for trial in trials if trial.setting == self.setting)
        if self.document and self.target in TABLES and filled:
            replaced(self.document, self.name, "")

    def write(self, found: Records, trainer: Trainer) -> None:
        """Writes the table and the picture.

        Args:
            found: records.
            trainer: of the runs that figure 2 reads.
        """
        target = TARGETS[self.target]
        methods = target.shown(trial.method for trial in found if trial.setting == self.setting)
        if not methods:
            print(f"{self.name}: no record")
            return
        print(f"── {target.title}, {self.setting.name}: {len(methods)} of {len(target.methods)} methods")
        if self.target in TABLES:
            table = TABLES[self.target](found, self.setting)
            files.write_text(self.folder / f"{self.name}.md", table + "\n")
            print(table)
            if self.document:
                files.write_text(self.document, replaced(self.document, self.name, table))
        if self.target in PICTURES:
            PICTURES[self.target](found, self.setting, self.folder / f"{self.name}.png")
        if self.target == "fig2":
            self._write_histories([chosen(found, self.setting, method)[0].trial for method in methods], trainer)
        print(f"wrote {self.folder}/{self.name}.*")

    def _write_histories(self, trials: list[Trial], trainer: Trainer) -> None:
        path = self.folder / f"{self.name}.json"
        histories = moments.load(path)
        for trial in trials:
            if trial.method not in histories:
                try:
                    histories[trial.method] = moments.history(trainer.workdir(trial), data_dir=trainer.data_dir)
                except UserError as error:
                    print(f"figure 2 goes without {trial.name} ({error}): delete its record to train it again")
        if histories:
            moments.save(histories, path)
            figures.batch_statistics(histories, self.setting, self.folder / f"{self.name}.png")


def replaced(path: pathlib.Path, name: str, table: str) -> str:
    """The text of a Markdown file with a table between its two marks.

    Raises:
        RecordError: if the file or the marks are not there.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise RecordError(f"--update must name a file with the lines {begin} and {end} in this order, got {path}")
    return f"{before}{begin}\n{table}\n{end}{after}"
