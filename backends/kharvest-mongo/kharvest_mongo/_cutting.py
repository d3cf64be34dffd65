"""Long lists, cut into what one statement should hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

IN_AT_ONCE = 200
"""Values in one `$in`."""
CHANGED_AT_ONCE = 50
"""Documents that one statement changes alike; a command holds several."""
WRITTEN_AT_ONCE = 500
"""Documents that one command writes: a slow server has answered before it counts as gone."""
ONE_REPLY = 10_001
"""Documents in one reply, at most, where 101 are usual: what is asked for at once comes at once, up to 16 MB."""


def cut(values: Iterable[T], size: int = IN_AT_ONCE) -> Iterator[list[T]]:
    """The values in lists of a size, the last one shorter."""
    left = iter(values)
    while some := list(islice(left, size)):
        yield some
