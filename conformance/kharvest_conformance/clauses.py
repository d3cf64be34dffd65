"""What ties a test to the words of the contract that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kharvest.spi import Capability

_ATTRIBUTE = "kharvest_clause"

FIRST_VERSION = (0, 1)
"""The suite's version whose tests were never new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One promise of the contract.

    Attributes:
        place: where the contract makes it, in `kharvest.spi`: `ContentStore.put`, `Query`, `values` for the module.
        words: what is written there.
        needs: the capability without which there is nothing to test.
        lacks: the capability with which there is nothing to test.
        since: the minor version of the suite that first had the test.
    """

    place: str
    words: str
    needs: Capability | None = None
    lacks: Capability | None = None
    since: tuple[int, int] = FIRST_VERSION

    def reason_to_skip(self, declared: frozenset[Capability]) -> str | None:
        """Why there is nothing to test on a store that declares these capabilities; None if there is."""
        if self.needs is not None and self.needs not in declared:
            return f"the store does not declare {self.needs.name}"
        if self.lacks is not None and self.lacks in declared:
            return f"the store declares {self.lacks.name}"
        return None

    def is_new(self, suite_version: tuple[int, int]) -> bool:
        """Whether the test is a warning yet: for the minor version that brought it, but for the first."""
        return self.since == suite_version != FIRST_VERSION


Test = TypeVar("Test", bound=Callable[..., object])


def clause(
    place: str,
    words: str,
    *,
    needs: Capability | None = None,
    lacks: Capability | None = None,
    since: tuple[int, int] = FIRST_VERSION,
) -> Callable[[Test], Test]:
    """Say which promise a test holds."""
    found = Clause(place=place, words=words, needs=needs, lacks=lacks, since=since)

    def mark(test: Test) -> Test:
        setattr(test, _ATTRIBUTE, found)
        return test

    return mark


def clause_of(test: object) -> Clause | None:
    """The promise that a test holds; None if it is no test of the suite."""
    found = getattr(test, _ATTRIBUTE, None)
    return found if isinstance(found, Clause) else None
