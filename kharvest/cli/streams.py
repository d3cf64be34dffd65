"""The standard streams of the command: UTF-8 whatever the locale, and failures of stdout told once.

stdout that is closed, full, or away ends the command; a failing stderr is ignored, for there is nowhere to say so.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from kharvest.cli.text import one_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_STDOUT, _STDERR = 1, 2


class OutputFailed(Exception):
    """What was written to stdout did not get there."""


class ReaderGone(OutputFailed):
    """Whoever read stdout has had enough."""


class _Stdout(io.RawIOBase):
    """The file descriptor of stdout. After a failure it takes everything and writes nothing."""

    def __init__(self, *, is_closed: bool) -> None:
        self._is_closed = is_closed
        self._has_failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STDOUT

    def isatty(self) -> bool:
        return os.isatty(_STDOUT)

    def write(self, data: Buffer, /) -> int:
        if self._has_failed:
            return memoryview(data).nbytes
        self._has_failed = True
        if self._is_closed:
            raise OutputFailed("stdout is closed; redirect it to a file, or to /dev/null")
        try:
            written = os.write(_STDOUT, data)
        except BrokenPipeError as error:
            raise ReaderGone("the reader of stdout is gone") from error
        except OSError as error:
            problem = f"cannot write to stdout: {error.strerror}"
            raise OutputFailed(f"{problem}; what was written is not complete") from error
        self._has_failed = False
        return written


class _Stderr(io.RawIOBase):
    """The file descriptor of stderr. What it does not take is lost."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STDERR

    def isatty(self) -> bool:
        return os.isatty(_STDERR)

    def write(self, data: Buffer, /) -> int:
        try:
            return os.write(_STDERR, data)
        except OSError:  # nowhere to say it
            return memoryview(data).nbytes


def open_streams() -> None:
    """Take over stdout and stderr of this process. Closed descriptors are filled, lest a socket gets their numbers."""
    is_closed = sys.stdout is None
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    stdout = _Stdout(is_closed=is_closed)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(stdout), "utf-8", errors="backslashreplace", line_buffering=stdout.isatty()
    )
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Stderr()), "utf-8", errors="backslashreplace", line_buffering=True)


def say(command: str, message: str) -> None:
    """Write one line to stderr, for people; after what was written to stdout before, where both go to one place."""
    sys.stdout.flush()
    program = f"kharvest {command}" if command else "kharvest"
    print(f"{program}: {one_line(message)}", file=sys.stderr)
