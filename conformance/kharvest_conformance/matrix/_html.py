"""The comparison as one HTML file: no script, nothing that is loaded, readable with any screen, printer or reader."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from kharvest_conformance._report import Outcome
from kharvest_conformance.matrix._comparison import TELLING, Comparison, Row
from kharvest_conformance.matrix._excerpt import Excerpt, detail_of, program_of
from kharvest_conformance.matrix._reports import Cell, Column

_SHOWN = {
    Outcome.PASSED: ("✓", "passed"),
    Outcome.FAILED: ("✗", "fails"),
    Outcome.SKIPPED: ("○", "skipped"),
    Outcome.DEVIATES: ("≈", "deviates"),
    Outcome.WARNED: ("!", "warning"),
}
_VERDICTS = {"conforms": "✓", "fails": "✗", "incomplete": "○"}
_COUNTS = {
    "passed": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "deviate": Outcome.DEVIATES,
    "warned": Outcome.WARNED,
    "skipped": Outcome.SKIPPED,
}


def as_html(comparison: Comparison) -> str:
    """The page."""
    return "\n".join(_page(comparison)) + "\n"


def _page(comparison: Comparison) -> Iterator[str]:
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Conformance of kharvest stores</title>\n<style>\n{style}</style>\n</head>\n<body>"
    yield "<header><h1>Conformance of kharvest stores</h1></header>\n<main>"
    yield from _summary(comparison)
    yield from _tests(comparison)
    yield from _reasons(comparison)
    yield from _findings(comparison)
    yield "</main>\n</body>\n</html>"


def _summary(comparison: Comparison) -> Iterator[str]:
    yield '<h2 id="stores">Stores</h2>'
    if any(comparison.marks):
        yield '<p class="mark">These runs differ in more than their stores: see the notes.</p>'
    yield '<div class="scroll" role="region" aria-labelledby="stores" tabindex="0">'
    yield '<table class="stores">\n<thead><tr>'
    for head in ("store", "version", "verdict", "capabilities", *_COUNTS, "run with", "notes"):
        yield f'<th scope="col">{head}</th>'
    yield "</tr></thead>\n<tbody>"
    for column, marks in zip(comparison.columns, comparison.marks, strict=True):
        yield f'<tr><th scope="row">{escape(column.store)}</th><td>{escape(column.version) or "-"}</td>'
        sign = _VERDICTS[column.verdict]
        yield f'<td class="{column.verdict}"><span aria-hidden="true">{sign}</span> {column.verdict}</td>'
        yield f"<td>{escape(', '.join(column.capabilities)) or 'none'}</td>"
        yield "".join(f'<td class="number">{column.count(outcome)}</td>' for outcome in _COUNTS.values())
        yield (
            f'<td class="run">suite {escape(column.suite)}, SPI {escape(column.spi)}, Python {escape(column.python)}, '
            f"examples: {column.examples}, seed: {column.seed}</td>"
        )
        notes = [f'<li class="mark">{escape(mark)}</li>' for mark in marks]
        notes += [f'<li class="fails">{escape(problem)}</li>' for problem in column.problems]
        yield f"<td><ul>{''.join(notes)}</ul></td></tr>" if notes else "<td>-</td></tr>"
    yield "</tbody>\n</table>\n</div>"


def _tests(comparison: Comparison) -> Iterator[str]:
    yield '<h2 id="tests">Tests</h2>\n<p>By the place of the contract whose words each test holds.</p>'
    yield '<div class="scroll" role="region" aria-labelledby="tests" tabindex="0">\n<table class="tests">'
    yield '<thead><tr><th scope="col">clause and test</th>'
    for column in comparison.columns:
        yield f'<th scope="col">{escape(column.store)}<br><small>{escape(column.version)}</small></th>'
    yield "</tr></thead>"
    for group in comparison.groups:
        span = f'scope="rowgroup" colspan="{len(comparison.columns) + 1}"'
        yield f'<tbody>\n<tr class="place"><th {span}><span>{escape(group.place)}</span></th></tr>'
        for row in group.rows:
            yield f'<tr><th scope="row"><q>{escape(row.words)}</q><code>{_breakable(row.test)}</code></th>'
            yield f"{''.join(_cells(row, comparison))}</tr>"
        yield "</tbody>"
    yield "</table>\n</div>"


def _breakable(name: str) -> str:
    """A test's name, which may be broken behind its words."""
    return escape(name).replace("_", "_<wbr>")


def _cells(row: Row, comparison: Comparison) -> Iterator[str]:
    for number, cell in enumerate(row.cells):
        if cell is None:
            yield '<td class="none">not run</td>'
            continue
        sign, word = _SHOWN[cell.outcome]
        shown = f'<span aria-hidden="true">{sign}</span> {word}'
        if cell.outcome in TELLING:
            shown = f'<a href="#{_anchor(number, comparison.columns[number], cell)}">{shown}</a>'
        elif cell.outcome is Outcome.SKIPPED:
            reason = comparison.reasons.index(cell.detail) + 1
            shown += f' <a href="#reason-{reason}"><sup><span class="spoken">reason </span>{reason}</sup></a>'
        yield f'<td class="{cell.outcome.value}">{shown}</td>'


def _anchor(number: int, column: Column, cell: Cell) -> str:
    """Where a case is told: by the numbers of its store and test, since a test's name may have any characters."""
    return f"case-{number + 1}-{list(column.cells).index(cell.test) + 1}"


def _reasons(comparison: Comparison) -> Iterator[str]:
    if comparison.reasons:
        yield '<h2>Why tests were skipped</h2>\n<ol class="reasons">'
        for number, reason in enumerate(comparison.reasons, 1):
            yield f'<li id="reason-{number}">{escape(reason)}</li>'
        yield "</ol>"


def _findings(comparison: Comparison) -> Iterator[str]:
    cases = [
        (number, column, cell)
        for number, column in enumerate(comparison.columns)
        for cell in column.cells.values()
        if cell.outcome in TELLING
    ]
    if cases:
        yield "<h2>What fails, deviates, or is a warning yet</h2>"
    for number, column, cell in cases:
        sign, word = _SHOWN[cell.outcome]
        yield f'<section class="case" id="{_anchor(number, column, cell)}">'
        yield f"<h3>{escape(column.store)}: <code>{_breakable(cell.test)}</code></h3>"
        yield f'<p class="{cell.outcome.value}"><span aria-hidden="true">{sign}</span> {word}</p>'
        yield f"<p>{escape(cell.place)}: <q>{escape(cell.words)}</q></p>"
        yield from _excerpt(detail_of(cell), column)
        program = program_of(cell)
        if program.text:
            yield f"<p>{'The beginning of a program' if program.missing else 'A program'} that shows it again:</p>"
            yield from _excerpt(program, column)
        yield "</section>"


def _excerpt(excerpt: Excerpt, column: Column) -> Iterator[str]:
    if excerpt.text:
        yield f"<pre>{escape(excerpt.text)}</pre>"
    if excerpt.missing:
        yield f'<p class="more">… {escape(excerpt.note(column.report))}</p>'
