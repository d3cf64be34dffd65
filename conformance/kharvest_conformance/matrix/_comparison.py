"""What the page shows, whatever it is written in: columns, rows by place, and why columns may not be comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kharvest.spi import store as contract
from kharvest_conformance._report import Outcome
from kharvest_conformance.matrix._reports import Cell, Column, read_report

TELLING = (Outcome.FAILED, Outcome.DEVIATES, Outcome.WARNED)
"""The outcomes of which the page shows every case, with the beginning of its detail."""


@dataclass(frozen=True, slots=True)
class Row:
    """One test on all stores; None where it was not run."""

    test: str
    words: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The tests whose clauses stand at one place of the contract."""

    place: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What several reports say of their stores.

    Attributes:
        marks: for each column, what to know before it is compared with the others.
        reasons: why tests were skipped.
    """

    columns: tuple[Column, ...]
    marks: tuple[tuple[str, ...], ...]
    groups: tuple[Group, ...]
    reasons: tuple[str, ...]


def compared(paths: Iterable[Path]) -> Comparison:
    """Compare the reports in these files.

    Raises:
        InvalidReport: one of them is none.
    """
    columns = tuple(column for path in paths for column in read_report(path))
    by_place: dict[str, dict[str, str]] = {}
    for cell in (cell for column in columns for cell in column.cells.values()):
        by_place.setdefault(cell.place, {}).setdefault(cell.test, cell.words)
    groups = tuple(
        Group(place, tuple(Row(test, words, _row(columns, test)) for test, words in tests.items()))
        for place, tests in sorted(by_place.items(), key=lambda item: _rank(item[0]))
    )
    skipped = (cell for column in columns for cell in column.cells.values() if cell.outcome is Outcome.SKIPPED)
    reasons = tuple(dict.fromkeys(cell.detail for cell in skipped))
    return Comparison(columns, tuple(_marks(column, columns) for column in columns), groups, reasons)


def _row(columns: Sequence[Column], test: str) -> tuple[Cell | None, ...]:
    return tuple(column.cells.get(test) for column in columns)


def _marks(column: Column, columns: Sequence[Column]) -> tuple[str, ...]:
    found = []
    if column.fast:
        found.append("a fast run, which leaves out what takes long")
    elif column.deselected:
        number = len(column.deselected)
        found.append("1 test was left out" if number == 1 else f"{number} tests were left out")
    for name in ("suite", "spi", "examples"):
        here, elsewhere = getattr(column, name), {getattr(one, name) for one in columns}
        if len(elsewhere) > 1:
            said = {"suite": f"suite {here}", "spi": f"SPI {here}", "examples": f"random examples: {here}"}[name]
            others = ", ".join(str(one) for one in sorted(elsewhere - {here}, key=str))
            found.append(f"{said}; others have {others}")
    return tuple(found)


def _order() -> dict[str, int]:
    """Where the places of the contract stand in it."""
    places = ["store"]
    for name in ("Capability", "Opened", "ContentStore", "ReferenceStore", "Store"):
        places += [name, *(f"{name}.{member}" for member in vars(getattr(contract, name)))]
    return {place: number for number, place in enumerate(places)}


_ORDER = _order()


def _rank(place: str) -> tuple[int, str]:
    return _ORDER.get(place, len(_ORDER)), place
