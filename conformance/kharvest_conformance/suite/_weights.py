"""How much of Python's memory calls take: exact, and nothing of what others in this process take is large beside it."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def _traced() -> Iterator[None]:
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        yield
    finally:
        if not was_tracing:
            tracemalloc.stop()


def held_after(call: Callable[[], object]) -> int:
    """How many bytes are held after a call that were not before."""
    with _traced():
        before, _height = tracemalloc.get_traced_memory()
        call()
        gc.collect()
        after, _height = tracemalloc.get_traced_memory()
    return after - before


def height_of(call: Callable[[], object]) -> int:
    """How many bytes more than before a call holds at its height."""
    with _traced():
        before, _height = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _after, height = tracemalloc.get_traced_memory()
    return height - before
