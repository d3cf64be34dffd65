"""The comparison as Markdown, for a README or the page of a run: short, with all tests behind a fold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from kharvest_conformance._report import Outcome
from kharvest_conformance.matrix._comparison import TELLING, Comparison, Group
from kharvest_conformance.matrix._excerpt import detail_of, program_of
from kharvest_conformance.matrix._reports import Cell, Column

_SHOWN = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗ **fails**",
    Outcome.SKIPPED: "○ skipped",
    Outcome.DEVIATES: "≈ deviates",
    Outcome.WARNED: "! warning",
}
_SHORT = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.DEVIATES: "≈",
    Outcome.WARNED: "!",
    Outcome.SKIPPED: "○",
}
_VERDICTS = {"conforms": "✓ conforms", "fails": "✗ **fails**", "incomplete": "○ incomplete"}
_SPECIAL = re.compile(r"([\\`*_\[\]#|~:@])")


def as_markdown(comparison: Comparison) -> str:
    """The page."""
    return "\n".join(_page(comparison)) + "\n"


def _page(comparison: Comparison) -> Iterator[str]:
    yield "## Conformance of kharvest stores\n"
    heads = ("store", "version", "verdict", "capabilities", "ran", "run with", "notes")
    yield from _table(heads, [_store(*pair) for pair in zip(comparison.columns, comparison.marks, strict=True)])
    yield "\n✓ passed, ✗ fails, ≈ deviates, ! is a warning yet, ○ skipped; by the place of the contract:\n"
    stores = [f"{_text(one.store)} {_text(one.version)}".strip() for one in comparison.columns]
    yield from _table(["clause", *stores], [_counts(group, len(stores)) for group in comparison.groups])
    yield "\n<details><summary>All tests</summary>\n"
    yield from _table(["clause", "test", *stores], list(_tests(comparison)))
    if comparison.reasons:
        yield "\nWhy tests were skipped:\n"
        yield from (f"{number}. {_text(reason)}" for number, reason in enumerate(comparison.reasons, 1))
    yield "\n</details>"
    for column in comparison.columns:
        for cell in column.cells.values():
            if cell.outcome in TELLING:
                yield from _finding(column, cell)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _store(column: Column, marks: Sequence[str]) -> list[str]:
    return [
        _text(column.store),
        _text(column.version),
        _VERDICTS[column.verdict],
        _text(", ".join(column.capabilities)) or "none",
        str(len(column.cells) - column.count(Outcome.SKIPPED)),
        _text(f"suite {column.suite}, SPI {column.spi}, Python {column.python}, examples: {column.examples}"),
        "; ".join(_text(note) for note in (*marks, *column.problems)),
    ]


def _counts(group: Group, columns: int) -> list[str]:
    row = [f"`{group.place}`" if group.place.replace(".", "").isidentifier() else _text(group.place)]
    for number in range(columns):
        found = [cell.outcome for one in group.rows if (cell := one.cells[number]) is not None]
        row.append(" ".join(f"{found.count(one)} {sign}" for one, sign in _SHORT.items() if one in found) or "not run")
    return row


def _tests(comparison: Comparison) -> Iterator[list[str]]:
    for group in comparison.groups:
        place = _text(group.place)
        for row in group.rows:
            cells = [_cell(comparison, cell) for cell in row.cells]
            yield [place, f"{_text(row.words)}<br>{_text(row.test)}", *cells]
            place = ""


def _cell(comparison: Comparison, cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    reason = f" ({comparison.reasons.index(cell.detail) + 1})" if cell.outcome is Outcome.SKIPPED else ""
    return f"{_SHOWN[cell.outcome]}{reason}"


def _finding(column: Column, cell: Cell) -> Iterator[str]:
    yield f"\n### {_text(column.store)}: {_text(cell.test)}\n"
    yield f"{_SHOWN[cell.outcome]}: {_text(cell.place)}: “{_text(cell.words)}”"
    for excerpt in (detail_of(cell), program_of(cell)):
        if excerpt.text:
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", excerpt.text)), default=0))
            yield f"\n{fence}text\n{excerpt.text}\n{fence}"
        if excerpt.missing:
            yield f"\n… {_text(excerpt.note(column.report))}"


def _text(text: str) -> str:
    """Text as it is: nothing in it is Markdown or HTML, nor ends the cell of a table."""
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
