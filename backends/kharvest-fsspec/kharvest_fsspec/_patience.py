"""Giving up what takes too long, where a file system's library cannot be told for how long to try."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

REQUEST_SECONDS = 10.0
"""How long one small request may take, with all that the library repeats."""
PART_SECONDS = 20.0
"""The same for one part of a large upload."""
LISTING_SECONDS = 60.0
"""The same for what may be many requests: a listing, a removal of many objects."""


class TookTooLong(Exception):
    """It did not end in time. It may go on, unseen, and take effect later."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do something in a thread of its own; return or raise what becomes of it.

    Raises:
        TookTooLong: it did not end within `seconds`; its thread is left alone, and keeps no process from ending.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, name="kharvest-fsspec request", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TookTooLong(seconds)
    if errors:
        raise errors[0]
    return results[0]
