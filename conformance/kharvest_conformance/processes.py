"""Other processes that work on the same data, and can be killed at any moment: the parent's side."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kharvest_conformance.harness import Harness
    from kharvest_conformance.tasks import Task

ANSWER_SECONDS = 60.0
"""How long a worker may take for one report before it is killed and the test fails."""


class WorkerFailed(AssertionError):
    """A worker process raised an error, or ended when it should not have."""


class OpeningUnsupported(Exception):
    """The store refused to be opened by another process, with `Unsupported`."""


class Worker:
    """A process that opens a store and does tasks on it, one after the other, reporting as it goes.

    The keys that its tasks claim are added to `leases`, by their holder.
    """

    def __init__(self, harness: Harness, address: str, leases: dict[str, set[bytes]]) -> None:
        self._leases = leases
        self._process = subprocess.Popen(  # our own interpreter and module
            [sys.executable, "-c", "from kharvest_conformance.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("pipes were asked for")
        self._requests, self._reports = self._process.stdin, self._process.stdout
        module = sys.modules[type(harness).__module__]
        self._send((list(sys.path), module.__name__, module.__file__, pickle.dumps(harness), address))

    def ready(self) -> None:
        """Wait until the store is open there.

        Raises:
            OpeningUnsupported: the store raised `Unsupported`.
            WorkerFailed: it raised another error, or nothing came in time.
        """
        self.report()

    def start(self, task: Task) -> None:
        """Have it do a task; does not wait."""
        for holder, keys in task.leases().items():
            self._leases.setdefault(holder, set()).update(keys)
        self._send(task)

    def report(self) -> object:
        """What the task reports next; its answer, when it has ended.

        Raises:
            WorkerFailed: the store raised an error there, or nothing came in time.
        """
        watchdog = threading.Timer(ANSWER_SECONDS, self._process.kill)
        watchdog.start()
        try:
            kind, value = pickle.load(self._reports)  # noqa: S301  # our own child
        except EOFError:
            code = self._process.wait()
            raise WorkerFailed(f"a worker process ended, or hung and was killed (exit code {code})") from None
        finally:
            watchdog.cancel()
            watchdog.join()
        if kind == "unsupported":
            raise OpeningUnsupported(value)
        if kind == "error":
            raise WorkerFailed(f"in a worker process:\n{value}")
        return value

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is. Killing it twice is allowed."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._reports):
            with contextlib.suppress(BrokenPipeError):  # what it was sent and never read
                pipe.close()

    def _send(self, message: object) -> None:
        try:
            pickle.dump(message, self._requests)
            self._requests.flush()
        except BrokenPipeError:
            raise WorkerFailed("a worker process ended before it was asked anything") from None
