"""How answers are written: tables for people, JSON for programs. Rows are written as they come, in constant memory.

The JSON fields are stable. In tables every cell is printable: see `kharvest.cli.text`.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from kharvest.cli.text import escape

Json = str | int | None | Mapping[str, str]
Row = Sequence[str]

_BLOCK = 1000
"""Rows that are held until the widths of their columns are known: as many as a page of the answer."""
_GAP = "  "


def write_json(objects: Iterable[Mapping[str, Json]]) -> int:
    """Write a JSON array, an object a line. Returns the number of objects."""
    number = 0
    for one in objects:
        sys.stdout.write(",\n " if number else "[")
        sys.stdout.write(json.dumps(one))
        number += 1
    sys.stdout.write("]\n" if number else "[]\n")
    return number


def write_table(headers: Row, rows: Iterable[Row]) -> int:
    """Write a table without rules; nothing where there are no rows. Returns the number of rows.

    A column is as wide as its widest cell so far. What is wider in a later block moves the columns from there on.
    """
    number = 0
    widths = [_width(header) for header in headers]
    for block in _blocks(rows):
        cells = [[escape(cell) for cell in row] for row in block]
        widths = [max(before, *map(_width, column)) for before, *column in zip(widths, *cells, strict=True)]
        if not number:
            _write_row(headers, widths)
        for row in cells:
            _write_row(row, widths)
        sys.stdout.flush()
        number += len(cells)
    return number


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while block := list(islice(remaining, _BLOCK)):
        yield block


def _write_row(cells: Row, widths: Sequence[int]) -> None:
    *padded, last = zip(cells, widths, strict=True)
    sys.stdout.write("".join(f"{cell}{' ' * (width - _width(cell))}{_GAP}" for cell, width in padded))
    sys.stdout.write(f"{last[0]}\n")


def _width(text: str) -> int:
    """Columns of a terminal that a text takes (UAX #11: wide characters take two; marks take none)."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
