"""A thread that makes calls for a test, one after the other: what a handle keeps for each thread is kept for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from kharvest_conformance._patience import PATIENCE

Answer = TypeVar("Answer")


class OwnThread:
    """A context manager that ends its thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)

    def call(self, call: Callable[[], Answer]) -> Answer:
        """The answer of a call.

        Raises:
            TimeoutError: there is none in time.
            Exception: what the call raised.
        """
        return self._pool.submit(call).result(PATIENCE.seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None)
