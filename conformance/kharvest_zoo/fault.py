"""A fault: a store that is correct but for one thing, and the test that must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kharvest_zoo.plain import PlainStore

Broken = TypeVar("Broken", bound=type[PlainStore])

CAUGHT_BY: dict[type[PlainStore], str] = {}
"""The test that catches each broken store."""


def caught_by(test: str) -> Callable[[Broken], Broken]:
    """Say which test catches a broken store. The store's docstring says what is wrong with it."""

    def note(store: Broken) -> Broken:
        if any(other.__name__ == store.__name__ for other in CAUGHT_BY):
            raise AssertionError(f"two broken stores are named {store.__name__}")
        CAUGHT_BY[store] = test
        return store

    return note
