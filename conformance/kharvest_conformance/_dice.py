"""Random decisions from a few bytes: the fewer draws, the faster is a random test, and the better it shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Option = TypeVar("Option")


class Dice:
    """Makes each decision by the next byte; without any left, and by a zero, the first option is taken.

    So Hypothesis makes a failing example simple by making its bytes smaller: the first option is the simplest.
    """

    def __init__(self, thrown: bytes) -> None:
        self._thrown = iter(thrown)

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1; `count` is 256 at most."""
        return next(self._thrown, 0) % count

    def of(self, options: Sequence[Option]) -> Option:
        """One of the options; what is there several times is taken more often."""
        return options[self.below(len(options))]

    def once_in(self, times: int) -> bool:
        """True once in so many times."""
        return self.below(times) == times - 1
