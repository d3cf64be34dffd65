"""Other processes that work on the same data, and can be killed at any moment: the parent's side."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kharvest_conformance._patience import PATIENCE
from kharvest_conformance._worker import CLOSE, HEAD_BYTES, Opening, Preparation

if TYPE_CHECKING:
    from kharvest_conformance._tasks import Task
    from kharvest_conformance.harness import Harness

KEPT_PROCESSES = 3
"""How many processes wait for their next store at most."""


class WorkerFailed(AssertionError):
    """A worker process raised an error, or ended when it should not have."""


class WorkerEnded(WorkerFailed):
    """A worker process was killed, by itself or because nothing came in time."""


class OpeningUnsupported(Exception):
    """The store refused to be opened by another process, with `Unsupported`."""


class _Nursery:
    """A process that has loaded what workers need, and forks them: that takes a hundredth of starting one."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-c", f"from kharvest_conformance._worker import main; main({theirs.fileno()})"],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        self._control = ours

    def prepare(self, preparation: Preparation) -> None:
        """Have it load modules; does not wait."""
        message = pickle.dumps(preparation)
        self._control.sendall(len(message).to_bytes(HEAD_BYTES) + message)

    def fork(self) -> _Process:
        """A new worker."""
        their_requests, requests = os.pipe()
        reports, their_reports = os.pipe()
        socket.send_fds(self._control, [bytes(HEAD_BYTES)], [their_requests, their_reports])
        os.close(their_requests)
        os.close(their_reports)
        answer = self._control.recv(HEAD_BYTES, socket.MSG_WAITALL)
        if len(answer) < HEAD_BYTES:
            raise WorkerFailed("the process that forks worker processes has ended")
        return _Process(int.from_bytes(answer), requests, reports)

    def end(self) -> None:
        """End it; its workers end by themselves, when they have done what they do."""
        self._control.close()
        try:
            self._process.wait(PATIENCE.seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Process:
    """A worker, in a group with those that it forks. `stores` is whose stores it has opened."""

    def __init__(self, pid: int, requests: int, reports: int) -> None:
        self.stores: str | None = None
        self._pid = pid
        self._handle = os.pidfd_open(pid)
        self._is_dead = False
        self._requests, self._reports = os.fdopen(requests, "wb"), os.fdopen(reports, "rb")

    def send(self, message: object) -> None:
        try:
            pickle.dump(message, self._requests)
            self._requests.flush()
        except BrokenPipeError:
            raise WorkerFailed("a worker process ended before it was asked anything") from None

    def receive(self) -> tuple[str, object]:
        """The next report; the process is killed if none comes in time."""
        watchdog = threading.Timer(PATIENCE.seconds, self._kill_all)
        watchdog.start()
        try:
            kind, value = pickle.load(self._reports)  # noqa: S301  # our own child
        except EOFError:
            raise WorkerEnded("a worker process ended, or hung and was killed") from None
        finally:
            watchdog.cancel()
            watchdog.join()
        return kind, value

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is, and all that it forked. Killing it twice is allowed."""
        if self._is_dead:
            return
        self._kill_all()
        select.select([self._handle], [], [])  # its locks are free, and its files are closed
        self._is_dead = True
        os.close(self._handle)
        for pipe in (self._requests, self._reports):
            with contextlib.suppress(BrokenPipeError):  # what it was sent and never read
                pipe.close()

    def _kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)


@dataclass(slots=True)
class Processes:
    """The worker processes of one run; the session owns it.

    A process that a test has done with opens the next test's store, unless it was killed.
    """

    _waiting: list[_Process] = field(default_factory=list)
    _nursery: _Nursery | None = None
    _is_prepared: bool = False

    def take(self, stores: str) -> _Process:
        """A process that has opened none but these stores."""
        for process in [one for one in self._waiting if one.stores != stores]:
            self._waiting.remove(process)
            process.kill()
        if self._waiting:
            return self._waiting.pop()
        if self._nursery is None:
            self._nursery = _Nursery()
        process = self._nursery.fork()
        process.stores = stores
        return process

    def give_back(self, process: _Process) -> None:
        """Keep a process whose store is closed for the next test."""
        self._waiting.append(process)
        while len(self._waiting) > KEPT_PROCESSES:
            self._waiting.pop(0).kill()

    def note(self, modules: tuple[str, ...]) -> None:
        """Note what a worker has loaded that has opened a store: those after it have it from the beginning."""
        if not self._is_prepared and self._nursery is not None:
            self._is_prepared = True
            self._nursery.prepare(Preparation(tuple(sys.path), modules))

    def end(self) -> None:
        """End all that wait."""
        for process in self._waiting:
            process.kill()
        self._waiting.clear()
        if self._nursery is not None:
            self._nursery.end()
            self._nursery = None


class Worker:
    """A process that opens a store and does tasks on it, one after the other, reporting as it goes.

    The keys that its tasks claim are added to `leases`, by their holder.
    """

    def __init__(self, harness: Harness, address: str, leases: dict[str, set[bytes]], processes: Processes) -> None:
        self._leases = leases
        self._processes = processes
        self._process = processes.take(f"{type(harness).__qualname__} {harness.name}")
        self._is_usable = True
        self._is_given_back = False
        self._unanswered = 1
        module = sys.modules[type(harness).__module__]
        opening = Opening(tuple(sys.path), module.__name__, module.__file__, pickle.dumps(harness), address)
        self._process.send(opening)

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
        self._unanswered += 1
        self._process.send(task)

    def report(self) -> object:
        """What the task reports next; its answer, when it has ended.

        Raises:
            WorkerFailed: the store raised an error there, or nothing came in time.
        """
        try:
            kind, value = self._process.receive()
        except WorkerFailed:
            self._is_usable = False
            raise
        if kind == "progress":
            return value
        self._unanswered -= 1
        if kind == "unsupported":
            self._is_usable = False
            raise OpeningUnsupported(value)
        if kind == "error":
            self._is_usable = False
            raise WorkerFailed(f"in a worker process:\n{value}")
        if kind == "ready" and isinstance(value, tuple):
            self._processes.note(value)
        return value

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is. Killing it twice is allowed."""
        self._is_usable = False
        self._process.kill()

    def end(self) -> None:
        """Have it close its store and wait for another; kill it if it has something else to do. Twice is allowed."""
        if self._is_given_back:
            return
        if self._is_usable and not self._unanswered:
            self._is_usable = False
            with contextlib.suppress(WorkerFailed):
                self._process.send(CLOSE)
                if self._process.receive()[0] == "closed":
                    self._processes.give_back(self._process)
                    self._is_given_back = True
                    return
        self._process.kill()
