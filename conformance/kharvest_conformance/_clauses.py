"""What ties a test to the words of the contract that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from kharvest.spi import Capability

_ATTRIBUTE = "kharvest_clause"
_THOROUGH = "kharvest_thorough"
_BROKEN = "kharvest_broken_clause"

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


def thorough(test: Test) -> Test:
    """Leave a test out of a fast run, or all tests of a class: those that do not fail first while a store is written.

    They start processes and threads, have thousands of things or large contents, or go through all combinations.
    """
    if isinstance(test, type):
        for name, one in vars(test).items():
            if name.startswith("test_"):
                thorough(one)
    else:
        setattr(test, _THOROUGH, True)
    return test


def is_thorough(test: object) -> bool:
    """Whether a fast run leaves a test out."""
    return getattr(test, _THOROUGH, False) is True


def clause_of(test: object) -> Clause | None:
    """The promise that a test holds; None if it is no test of the suite."""
    found = getattr(test, _ATTRIBUTE, None)
    return found if isinstance(found, Clause) else None


@contextmanager
def promise(place: str, words: str) -> Iterator[None]:
    """Say which promise the statements within hold, where a test holds several: what fails there breaks this one.

    Of promises within promises the innermost counts.
    """
    try:
        yield
    except BaseException as error:
        if clause_broken_by(error) is None:
            setattr(error, _BROKEN, Clause(place=place, words=words))
        raise


def clause_broken_by(error: BaseException) -> Clause | None:
    """The promise within which an error was raised; None if the test names the only one."""
    found = getattr(error, _BROKEN, None)
    return found if isinstance(found, Clause) else None
