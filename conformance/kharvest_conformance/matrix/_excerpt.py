"""The beginning of what a failure says: a page stays readable however much its reports hold."""

from __future__ import annotations

from dataclasses import dataclass

from kharvest_conformance.matrix._reports import Cell

DETAIL_LINES, DETAIL_CHARACTERS = 12, 1500
PROGRAM_LINES, PROGRAM_CHARACTERS = 30, 3000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first lines of a text.

    Attributes:
        missing: the number of characters that are not shown.
    """

    text: str
    missing: int

    def note(self, report: str) -> str:
        """Where the rest is."""
        noun = "character" if self.missing == 1 else "characters"
        return f"{self.missing:,} more {noun} in {report}" if self.missing else ""


def detail_of(cell: Cell) -> Excerpt:
    """The beginning of the message of a failure, or of the reason of a deviation."""
    return _excerpt(cell.detail, DETAIL_LINES, DETAIL_CHARACTERS)


def program_of(cell: Cell) -> Excerpt:
    """The beginning of the program that shows a failure again."""
    return _excerpt(cell.snippet, PROGRAM_LINES, PROGRAM_CHARACTERS)


def _excerpt(text: str, lines: int, characters: int) -> Excerpt:
    shown = "\n".join(text[:characters].split("\n")[:lines])
    return Excerpt(shown, len(text) - len(shown))
