"""Reports read back from the files that `--json` was written to. A file that is none is refused with its name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kharvest.spi import InvalidValue
from kharvest_conformance._report import FORMAT, Outcome

_BY_LIST = {
    "passed": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "deviations": Outcome.DEVIATES,
    "warnings": Outcome.WARNED,
    "skipped": Outcome.SKIPPED,
}
_VERDICTS = ("conforms", "fails", "incomplete")

Value = TypeVar("Value")


class InvalidReport(InvalidValue):
    """A file is no report of a run.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, problem: str, remedy: str = "name a file that --json was written to") -> None:
        super().__init__(f"report {path}", problem, remedy)
        self.path = path


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one test on one store.

    Attributes:
        place: of the clause that the test holds.
        words: of the clause.
    """

    test: str
    place: str
    words: str
    outcome: Outcome
    detail: str
    snippet: str


@dataclass(frozen=True, slots=True)
class Column:
    """One store of one report, with what is said of the whole run.

    Attributes:
        report: the name of the report's file.
    """

    report: str
    store: str
    version: str
    capabilities: tuple[str, ...]
    verdict: str
    cells: dict[str, Cell]
    deselected: tuple[str, ...]
    problems: tuple[str, ...]
    suite: str
    spi: str
    python: str
    examples: int
    seed: int
    fast: bool

    def count(self, *outcomes: Outcome) -> int:
        """How many tests had one of these outcomes."""
        return sum(cell.outcome in outcomes for cell in self.cells.values())


def read_report(path: Path) -> list[Column]:
    """The stores of a report.

    Raises:
        InvalidReport: the file cannot be read, or is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidReport(path, f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InvalidReport(path, f"it is not JSON ({error})") from error
    report = _Object(path, "", document)
    if (found := report.get("format", int)) != FORMAT:
        raise InvalidReport(
            path, f"it has format {found}, and this suite reads {FORMAT}", "use the suite that wrote it, or run again"
        )
    problems = report.texts("problems")
    columns = [_column(path.name, store, report, problems) for store in report.objects("stores")]
    if not columns:
        raise InvalidReport(path, "no store was tested in that run", "name one that tested a store")
    return columns


def _column(name: str, store: _Object, report: _Object, problems: tuple[str, ...]) -> Column:
    cells = [_cell(one, outcome) for listed, outcome in _BY_LIST.items() for one in store.objects(listed)]
    verdict = store.get("verdict", str)
    if verdict not in _VERDICTS:
        raise store.refused("verdict", f"not one of {', '.join(_VERDICTS)}")
    return Column(
        name,
        store.get("store", str),
        store.get("version", str),
        store.texts("capabilities"),
        "fails" if problems else verdict,
        {cell.test: cell for cell in cells},
        store.texts("deselected"),
        problems + store.texts("problems"),
        report.get("suite", str),
        ".".join(str(number) for number in report.items("spi", int)),
        report.get("python", str),
        report.get("examples", int),
        report.get("seed", int),
        report.get("fast", bool),
    )


def _cell(result: _Object, outcome: Outcome) -> Cell:
    place, _colon, words = result.get("clause", str).partition(": ")
    detail, snippet = (result.get(name, str) if result.has(name) else "" for name in ("detail", "snippet"))
    return Cell(result.get("test", str), place, words, outcome, detail, snippet)


class _Object:
    """A JSON object at some place of a report: what is asked of it is there and of its type, or the report is none."""

    def __init__(self, path: Path, place: str, value: Any) -> None:
        self._path = path
        self._place = place
        if not isinstance(value, dict):
            raise InvalidReport(path, f"{place or 'it'} is no JSON object")
        self._fields = value

    def has(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, kind: type[Value]) -> Value:
        return self._checked(name, self._fields.get(name), kind)

    def items(self, name: str, kind: type[Value]) -> list[Value]:
        """The items of a list."""
        found: list[Any] = self.get(name, list)
        return [self._checked(f"{name}[{number}]", item, kind) for number, item in enumerate(found)]

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.items(name, str))

    def objects(self, name: str) -> list[_Object]:
        found: list[Any] = self.get(name, list)
        return [_Object(self._path, f"{self._place}{name}[{number}].", item) for number, item in enumerate(found)]

    def refused(self, name: str, problem: str) -> InvalidReport:
        """That a field is not as it must be."""
        return InvalidReport(self._path, f"{self._place}{name} is {problem}")

    def _checked(self, name: str, value: Any, kind: type[Value]) -> Value:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise self.refused(name, f"no {_NAMES[kind]}" if name.partition("[")[0] in self._fields else "missing")
        return value


_NAMES: dict[type, str] = {str: "text", int: "whole number", bool: "true or false", list: "list"}
