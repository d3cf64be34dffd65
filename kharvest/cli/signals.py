"""Signals that end a command, noticed whichever thread the kernel delivers them to."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self

ENDING = (signal.SIGTERM, signal.SIGINT)


class EndingSignals:
    """SIGTERM and SIGINT, as something to wait for; a context manager, for the main thread. A second one ends at once.

    Python runs handlers in the main thread only, when that returns to the interpreter. If another thread received the
    signal, a wait for a lock goes on. The file descriptor of `signal.set_wakeup_fd` is written to in any case.
    """

    def __init__(self) -> None:
        self._received = False

    def __enter__(self) -> Self:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, self._receive) for number in ENDING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self) -> None:
        """Wait for the first one."""
        while not self._received:  # other signals write to the pipe too
            select.select([self._reading], [], [])
            os.read(self._reading, 1)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received:
            os._exit(128 + number)
        self._received = True


def interrupt_on_sigterm() -> None:
    """Have SIGTERM raise KeyboardInterrupt, as SIGINT does.

    By default it would end most processes, but not the first one of a container.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
