"""Processes that a worker forks: each opens the store for itself, and may be killed."""

from __future__ import annotations

import itertools
import os
import pickle
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from kharvest.spi import Pod, Query, Reference, Store
from kharvest_conformance._samples import File, Sample

if TYPE_CHECKING:
    from kharvest_conformance._place import Opener
    from kharvest_conformance._tasks import Report, Task

Item = TypeVar("Item")

KILL_ME = "kill me"
"""What a task in a fork reports to be killed where it is."""
KILLED = "it was killed"


@dataclass(frozen=True, slots=True)
class InFork:
    """Forks a process that opens the store for itself and does a task; answers what the task does, or that it died.

    Attributes:
        opener: what opens the store.
        task: the task of the child.
        beside: what is done meanwhile, on the handle that was open before.
        kill_at: at which report of the child it is killed; 0 for none but `KILL_ME`.
        after: so many reports come before those that `kill_at` counts. They are of the same work, and tell how long
            each part of it takes.
        share: how much of the time of the part that `kill_at` names goes by until it is killed.
    """

    opener: Opener
    task: Task
    beside: Task | None = None
    kill_at: int = 0
    after: int = 0
    share: float = 0.0

    def leases(self) -> dict[str, set[bytes]]:
        """What both may claim."""
        beside = {} if self.beside is None else self.beside.leases()
        return {**beside, **self.task.leases()}

    def run(self, store: Store, report: Report) -> object:
        """Fork, and wait for the end of the child."""
        reading, writing = os.pipe()
        child = _fork()
        if child == 0:
            _end_after(lambda: self._work(writing))
        os.close(writing)
        try:
            if self.beside is not None:
                self.beside.run(store, report)
            return self._answer(child, reading)
        finally:
            os.waitpid(child, 0)

    def _answer(self, child: int, reading: int) -> object:
        moments: list[float] = []
        with os.fdopen(reading, "rb") as reports:
            for number in itertools.count(1):
                try:
                    kind, value = pickle.load(reports)  # noqa: S301  # our own child
                except EOFError:
                    break
                if kind == "error":
                    raise AssertionError(f"in a forked process:\n{value}")
                if kind == "answer":
                    return value
                moments.append(time.monotonic())
                if value == KILL_ME:
                    os.kill(child, signal.SIGKILL)
                elif self.kill_at and number == self.after + self.kill_at:
                    if self.after:
                        begun, ended = moments[self.kill_at - 1 : self.kill_at + 1]
                        select.select([reports], [], [], (ended - begun) * self.share)
                    os.kill(child, signal.SIGKILL)
        return KILLED

    def _work(self, writing: int) -> None:
        with os.fdopen(writing, "wb") as reports:

            def send(kind: str, value: object) -> None:
                pickle.dump((kind, value), reports)
                reports.flush()

            try:
                store = self.opener.open()
                answer = self.task.run(store, lambda value: send("progress", value))
                store.close()
                send("answer", answer)
            except Exception:  # noqa: BLE001  # the outermost loop of this process; the parent raises it
                send("error", traceback.format_exc())


@dataclass(frozen=True, slots=True)
class ForkAndEnd:
    """Forks a process that ends at once, and does a task on the handle that was open before."""

    task: Task

    def leases(self) -> dict[str, set[bytes]]:
        """What the task may claim."""
        return self.task.leases()

    def run(self, store: Store, report: Report) -> object:
        """Fork, wait for the end of the child, and go on."""
        child = _fork()
        if child == 0:
            _end_after(lambda: None)
        os.waitpid(child, 0)
        return self.task.run(store, report)


def _fork() -> int:
    with warnings.catch_warnings():  # a store may have threads; the child does not touch them
        warnings.simplefilter("ignore")
        return os.fork()


def _end_after(work: Callable[[], None]) -> None:
    """Do the work of a forked process, and end it without a word to what it inherited."""
    try:
        work()
    finally:
        os._exit(0)


@dataclass(slots=True)
class Stalling(Sequence[Item]):
    """Items of which one is never given: the call that draws them is killed there. They may be drawn several times."""

    items: Sequence[Item]
    given: int
    report: Report

    def __iter__(self) -> Iterator[Item]:
        for item in self.items:
            self._give()
            yield item

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204  # of two types, as a list
        self._give()
        return self.items[number]

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def _give(self) -> None:
        self.given -= 1
        if self.given == 0:
            self.report(KILL_ME)
            Event().wait()


STALLED = 40
"""How many items each of the batches has that are killed while they are drawn."""
STALLED_FILE = File("/stalled", Sample(100))
STALLED_KEYS = tuple(b"stalled/%d" % number for number in range(STALLED))
STALLED_HOLDER = "the one that stalls"


def stalled_references(pod: Pod) -> tuple[Reference, ...]:
    """What a stalled batch records."""
    return tuple(STALLED_FILE.seen(at, pod) for at in range(1, STALLED + 1))


@dataclass(frozen=True, slots=True)
class Stall:
    """Makes a call with a batch that stalls after some items, where it is killed; it returns if fewer are drawn."""

    method: str
    after: int

    @property
    def pod(self) -> Pod:
        """Whose references it writes."""
        return Pod("stalled", f"{self.method}-{self.after}")

    def leases(self) -> dict[str, set[bytes]]:
        """The keys of the batch."""
        return {STALLED_HOLDER: set(STALLED_KEYS)}

    def run(self, store: Store, report: Report) -> object:
        """Make the call."""
        files = {STALLED_FILE.signature: STALLED_FILE.content}
        references = Stalling(stalled_references(self.pod), self.after, report)
        keys = Stalling(STALLED_KEYS, self.after, report)
        match self.method:
            case "record":
                store.record(files, references)
            case "append":
                store.append(files, references)
            case "claim":
                store.claim(keys, STALLED_HOLDER, 0, 10)
            case "release":
                store.claim(STALLED_KEYS, STALLED_HOLDER, 0, 10)
                store.release(keys, STALLED_HOLDER)
            case _:
                raise ValueError(self.method)
        return "it has returned"


LAST_FILES = tuple(File(f"/last/{number}", Sample(5000, number)) for number in range(3))
LAST_KEYS = (b"last/1", b"last/2")
LAST_HOLDER = "the one that ends"
LAST_END_NS = 1_000_000


def _put(store: Store) -> None:
    for file in LAST_FILES:
        store.put(file.content, file.sample.chunks(1000))


def _record(store: Store) -> None:
    store.record({file.signature: file.content for file in LAST_FILES}, [file.seen(5) for file in LAST_FILES])


LAST_CALLS: Mapping[str, Callable[[Store], object]] = MappingProxyType(
    {
        "put": _put,
        "record": _record,
        "append": lambda store: store.append({}, [LAST_FILES[0].seen(1)]),
        "claim": lambda store: store.claim(LAST_KEYS, LAST_HOLDER, 0, LAST_END_NS),
        "extending claim": lambda store: store.claim(LAST_KEYS, LAST_HOLDER, 1, 2 * LAST_END_NS),
        "release": lambda store: store.release(LAST_KEYS[:1], LAST_HOLDER),
        "forget": lambda store: store.forget(Query(path=LAST_FILES[2].path)),
        "discard": lambda store: store.discard([LAST_FILES[2].content.sha256]),
    }
)
"""Each kind of write, in the order in which they are made."""


@dataclass(frozen=True, slots=True)
class WriteAndDie:
    """Makes a write, and is killed when it has returned, before anything else is done."""

    write: str

    def leases(self) -> dict[str, set[bytes]]:
        """What it may claim."""
        return {LAST_HOLDER: set(LAST_KEYS)}

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        """Make the write."""
        LAST_CALLS[self.write](store)
        os.kill(os.getpid(), signal.SIGKILL)
        return None
