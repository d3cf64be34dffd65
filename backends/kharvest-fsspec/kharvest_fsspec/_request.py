"""What a caller wants of the log."""

from __future__ import annotations

from typing import Any

from kharvest_fsspec import _codec as codec
from kharvest_fsspec._operations import Operation


class Request:
    """One caller's wish: that its operation is done, or, without one, that the index is as new as the log.

    `encoded` is the operation as the log will have it, and `operation` is decoded from that: so who writes it does
    exactly what they do who read it, also where two values are equal, but not the same object.
    """

    __slots__ = ("_answer", "_error", "encoded", "operation")

    def __init__(self, operation: Operation | None = None) -> None:
        self.encoded = b"" if operation is None else codec.encode(operation)
        self.operation = None if operation is None else codec.decode(codec.body_of([self.encoded]))[0]
        self._answer: Any = None
        self._error: Exception | None = None

    def answer(self, answer: Any) -> None:
        """Set what it comes to, unless it is set anew."""
        self._answer, self._error = answer, None

    def fail(self, error: Exception) -> None:
        """The same, with an error."""
        self._answer, self._error = None, error

    @property
    def outcome(self) -> Any:
        """What it came to: an answer, or an error."""
        return self._answer if self._error is None else self._error
