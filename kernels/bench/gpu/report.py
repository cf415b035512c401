"""Results as markdown and JSON, written after every phase so that a run cut short still leaves what it found."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class Report:
    """Sections of tables, kept in a folder as gpu.md and gpu.json."""

    def __init__(self, folder: Path, title: str) -> None:
        """Starts an empty report."""
        self._folder = folder
        self._markdown = [f"# {title}", ""]
        self.data: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, heading: str, key: str, rows: list[dict[str, Any]], note: str = "") -> None:
        """Adds one table of equal rows, prints it, and writes everything down."""
        lines = [f"## {heading}", ""]
        if note:
            lines += [note, ""]
        lines += table(rows)
        self._markdown += [*lines, ""]
        self.data[key] = rows
        print("\n".join(lines), flush=True)
        (self._folder / "gpu.md").write_text("\n".join(self._markdown))
        (self._folder / "gpu.json").write_text(json.dumps(self.data, indent=1))


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the lines of a markdown table; all rows have the keys of the first."""
    if not rows:
        return ["(nothing)"]
    return [_line(rows[0]), _line("---" for _ in rows[0]), *(_line(_text(v) for v in row.values()) for row in rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
