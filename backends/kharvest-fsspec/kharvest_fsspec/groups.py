"""Requests that arrive while the log is written or looked at share the next turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from kharvest.spi import StoreError, StoreUnavailable
from kharvest_fsspec import codec
from kharvest_fsspec.operations import Operation


class Request:
    """One caller's wish: that its operation is done, or, without one, that the index is as new as the log.

    `encoded` is the operation as the log will have it, and `operation` is decoded from that: so who writes it does
    exactly what they do who read it, also where two values are equal, but not the same object.
    """

    __slots__ = ("_answer", "_error", "encoded", "operation", "served")

    def __init__(self, operation: Operation | None = None) -> None:
        self.encoded = b"" if operation is None else codec.encode(operation)
        self.operation = None if operation is None else codec.decode(codec.body_of([self.encoded]))[0]
        self.served = False
        self._answer: Any = None
        self._error: Exception | None = None

    def answer(self, answer: Any) -> None:
        """Settle what it comes to, unless it is settled anew."""
        self._answer, self._error = answer, None

    def fail(self, error: Exception) -> None:
        """The same, with an error."""
        self._answer, self._error = None, error

    def result(self) -> Any:
        """What it came to."""
        if self._error is not None:
            raise self._error
        return self._answer


class Groups:
    """Serves requests in groups, one group at a time.

    Whoever gets the lock first takes everybody's request along; the others find theirs served when the lock is theirs.
    No thread of its own, no timer: a lonely request waits for nothing.

    `serve` settles every request of a group, or raises what they all failed by.
    """

    def __init__(self, serve: Callable[[Sequence[Request]], None]) -> None:
        self._serve = serve
        self._running = threading.Lock()
        self._waiting: list[Request] = []  # guarded by _arriving
        self._arriving = threading.Lock()

    def run(self, operation: Operation | None = None) -> Any:
        """Have an operation done; return or raise what it comes to."""
        request = Request(operation)
        with self._arriving:
            self._waiting.append(request)
        with self._running:
            if not request.served:
                with self._arriving:
                    group, self._waiting = self._waiting, []
                self._serve_all(group)
        return request.result()

    def _serve_all(self, group: Sequence[Request]) -> None:
        try:
            self._serve(group)
        except StoreError as error:
            for request in group:
                request.fail(error)
        except Exception as error:  # noqa: BLE001  handed to the caller whose request it is
            if len(group) == 1:
                group[0].fail(error)
            else:
                for request in group:
                    self._serve_all([request])  # one of them is at fault: the others go on
        except BaseException:
            for request in group:
                request.fail(StoreUnavailable("the thread that was about to write this was interrupted", "try again"))
            raise
        finally:
            for request in group:
                request.served = True
