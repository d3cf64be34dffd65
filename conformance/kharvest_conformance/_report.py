"""What a run of the suite found: for people and for machines."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from kharvest.spi import SPI_VERSION, Capability
from kharvest_conformance import __version__
from kharvest_conformance._clauses import Clause
from kharvest_conformance._events import Events

FORMAT = 1
"""The version of the report for machines; `docs/reference/conformance-report.md` has its fields."""


MAX_DETAIL_CHARACTERS = 20_000
"""The longest detail that a report has. A comparison of thousands of references says nothing more behind these."""


_UNKNOWN = "?"


class Outcome(Enum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    DEVIATES = "deviates"
    WARNED = "warned"


@dataclass(frozen=True, slots=True)
class Result:
    """One test's outcome.

    Attributes:
        test: the test's name, with its case.
        detail: the reason of a skip or a deviation; the message of a failure, see `bounded_detail`.
        snippet: a program that does what the failed test did.
        seconds: how long it took, with making its place and destroying it.
    """

    test: str
    clause: Clause
    outcome: Outcome
    detail: str = ""
    snippet: str = ""
    seconds: float = 0.0

    def renamed(self, rename: Callable[[str], str]) -> Result:
        """The same with other names in its texts."""
        return replace(self, detail=rename(self.detail), snippet=rename(self.snippet))

    def as_json(self) -> dict[str, object]:
        """For machines."""
        found: dict[str, object] = {"test": self.test, "clause": f"{self.clause.place}: {self.clause.words}"}
        found["seconds"] = round(self.seconds, 3)
        if self.detail:
            found["detail"] = self.detail
        if self.snippet:
            found["snippet"] = self.snippet
        return found


def bounded_detail(message: str) -> str:
    """A message as a report has it: cut at `MAX_DETAIL_CHARACTERS`, with the number of characters that are missing."""
    missing = len(message) - MAX_DETAIL_CHARACTERS
    if missing <= 0:
        return message
    return f"{message[:MAX_DETAIL_CHARACTERS]}\n… (cut: {missing:,} more characters)"


@dataclass(slots=True)
class StoreReport:
    """What was found about one store.

    Attributes:
        problems: what makes the run worthless, whatever its tests say.
        deselected: tests that the command line left out.
    """

    store: str
    version: str
    capabilities: frozenset[Capability]
    results: dict[str, Result] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    deselected: set[str] = field(default_factory=set)

    @classmethod
    def unknown(cls) -> StoreReport:
        """That of a store which could not even be opened."""
        return cls(_UNKNOWN, "", frozenset())

    @property
    def is_known(self) -> bool:
        """Whether the store could be opened, and has told what it is."""
        return self.store != _UNKNOWN

    @property
    def about(self) -> tuple[str, str, frozenset[Capability]]:
        """What store it is of."""
        return self.store, self.version, self.capabilities

    def having(self, *outcomes: Outcome) -> list[Result]:
        """The results with one of these outcomes."""
        return [result for result in self.results.values() if result.outcome in outcomes]

    @property
    def ran(self) -> int:
        """How many tests were run to their end."""
        return len(self.results) - len(self.having(Outcome.SKIPPED))

    @property
    def verdict(self) -> str:
        """`conforms`, `fails`, or `incomplete` when the command line left tests out and the others passed."""
        if self.problems or self.having(Outcome.FAILED) or not self.ran:
            return "fails"
        return "incomplete" if self.deselected else "conforms"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "store": self.store,
            "version": self.version,
            "capabilities": sorted(one.name for one in self.capabilities),
            "verdict": self.verdict,
            "ran": self.ran,
            "passed": [result.as_json() for result in self.having(Outcome.PASSED)],
            "failed": [result.as_json() for result in self.having(Outcome.FAILED)],
            "deviations": [result.as_json() for result in self.having(Outcome.DEVIATES)],
            "warnings": [result.as_json() for result in self.having(Outcome.WARNED)],
            "skipped": [result.as_json() for result in self.having(Outcome.SKIPPED)],
            "deselected": sorted(self.deselected),
            "problems": self.problems,
        }

    def lines(self) -> Iterator[str]:
        """For people. What was deselected is counted, and not named: it may be nearly everything."""
        declared = ", ".join(sorted(one.name for one in self.capabilities)) or "none"
        yield f"{self.store}{f' ({self.version})' if self.version else ''}; capabilities: {declared}"
        counts = [(outcome.value, len(self.having(outcome))) for outcome in Outcome]
        yield f"  ran {self.ran}: " + ", ".join(f"{count} {name}" for name, count in counts if count)
        for name in self.problems:
            yield f"  PROBLEM {name}"
        for result in self.having(Outcome.FAILED):
            yield f"  FAILED {result.test}: {result.clause.place}: {result.clause.words!r}"
        for result in self.having(Outcome.WARNED):
            yield f"  WARNING {result.test}: {result.detail}"
        for result in self.having(Outcome.DEVIATES):
            yield f"  deviates {result.test}: {result.detail}"
        for reason, tests in _by_reason(self.having(Outcome.SKIPPED)).items():
            yield f"  skipped {len(tests)}, as {reason}: {', '.join(tests)}"
        if self.deselected:
            number = f"{len(self.deselected)} test{'' if len(self.deselected) == 1 else 's'}"
            yield f"  left out {number}: there is no verdict"
        yield f"  {self.verdict.upper()}"


def _by_reason(results: Iterable[Result]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in results:
        found.setdefault(result.detail, []).append(result.test)
    return found


@dataclass(slots=True)
class Report:
    """What was found about all stores of a run. One that is `fast` is for the author at work, and gives no verdict."""

    examples: int
    seed: int
    fast: bool = False
    events: Events = field(default_factory=Events)
    stores: dict[str, StoreReport] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst of the stores' verdicts."""
        verdicts = {store.verdict for store in self.stores.values()}
        if self.problems or "fails" in verdicts or not verdicts:
            return "fails"
        return "incomplete" if self.fast or "incomplete" in verdicts else "conforms"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "format": FORMAT,
            "suite": __version__,
            "spi": list(SPI_VERSION),
            "python": platform.python_version(),
            "examples": self.examples,
            "seed": self.seed,
            "fast": self.fast,
            "verdict": self.verdict,
            "problems": self.problems,
            "statistics": self.events.as_json(),
            "stores": [store.as_json() for store in self.stores.values()],
        }

    def lines(self, *, statistics: bool = False) -> Iterator[str]:
        """For people."""
        spi = ".".join(map(str, SPI_VERSION))
        yield (
            f"kharvest-conformance {__version__}, SPI {spi}, Python {platform.python_version()}, "
            f"{self.examples} examples, seed {self.seed}{', a fast run without a verdict' if self.fast else ''}"
        )
        for problem in self.problems:
            yield f"PROBLEM {problem}"
        for store in self.stores.values():
            yield from store.lines()
        if statistics:
            yield from self.events.lines()
