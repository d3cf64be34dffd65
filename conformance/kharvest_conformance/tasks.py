"""What worker processes do. A task is sent pickled; what it reports and returns is sent back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from kharvest.spi import Content, KharvestError, Pod, Query, Reference, Signature, Store
from kharvest_conformance.samples import BLOCK, File, Sample, WatchedChunks

Report = Callable[[object], None]


class Task(Protocol):
    """Some work on an opened store."""

    def run(self, store: Store, report: Report) -> object:
        """Do it; `report` sends word to the parent at once, what is returned comes last."""

    def leases(self) -> dict[str, set[bytes]]:
        """What it may claim, by holder."""


class _Leaseless:
    """A task that claims nothing."""

    __slots__ = ()

    def leases(self) -> dict[str, set[bytes]]:
        return {}


def crash_files(number: int) -> tuple[File, ...]:
    """The files of the crash test's write with this number: several, so that a torn batch shows."""
    return tuple(File(f"/crash/{number}/{part}", Sample(1000 + number, number)) for part in range(5))


def crash_references(number: int) -> tuple[Reference, ...]:
    """The references of the crash test's write with this number: one atomic batch."""
    return tuple(file.seen(number + 1, Pod("crash", f"pod-{number}")) for file in crash_files(number))


def crash_key(number: int) -> bytes:
    """What the crash test's write with this number claims."""
    return b"crash/%d" % number


CRASH_HOLDER = "the one that is killed"
CRASH_LEASE_NS = 1_000_000
CRASH_WRITES = 1900
"""Where the crash test's process ends when nobody kills it: before its references fill a page."""


@dataclass(frozen=True, slots=True)
class WriteUntilKilled:
    """Puts, records and claims until it is killed; reports each write's number when all its calls have returned."""

    def leases(self) -> dict[str, set[bytes]]:
        """More than it will come to."""
        return {CRASH_HOLDER: {crash_key(number) for number in range(CRASH_WRITES)}}

    def run(self, store: Store, report: Report) -> object:
        for number in range(CRASH_WRITES):
            files = crash_files(number)
            store.put(files[0].content, files[0].sample.chunks(100))
            store.record({file.signature: file.content for file in files}, crash_references(number))
            store.claim([crash_key(number)], CRASH_HOLDER, 1, CRASH_LEASE_NS)
            report(number)
        return "not killed in time"


@dataclass(frozen=True, slots=True)
class PutUntilKilled(_Leaseless):
    """Puts a content; reports when half of the chunks are drawn, and then waits for ever for the next."""

    sample: Sample
    length: int

    def run(self, store: Store, report: Report) -> object:
        half = self.sample.size // self.length // 2

        def stop_halfway(number: int) -> None:
            if number == half:
                report("half of it is put")
                _wait_for_the_end()

        store.put(self.sample.content, WatchedChunks(self.sample.chunks(self.length), stop_halfway))
        return "put returned without drawing its chunks to the end"


def _wait_for_the_end() -> None:

    Event().wait()


@dataclass(frozen=True, slots=True)
class Weigh(_Leaseless):
    """Puts and reads a content; answers how much memory of this process each took at its height, in bytes."""

    sample: Sample

    def run(self, store: Store, report: Report) -> object:
        small = Sample(BLOCK, self.sample.variant + 1)
        store.put(small.content, small.chunks())  # what is loaded on the first call is not the content's weight
        for _chunk in store.read(small.content.sha256):
            pass

        before = height = _anonymous_bytes()

        def weigh(_chunk: int) -> None:
            nonlocal height
            height = max(height, _anonymous_bytes())

        store.put(self.sample.content, WatchedChunks(self.sample.chunks(), weigh))
        report(height - before)

        before = height = _anonymous_bytes()
        size = 0
        for number, chunk in enumerate(store.read(self.sample.content.sha256)):
            size += len(chunk)
            weigh(number)
        return height - before if size == self.sample.size else f"read gave {size} bytes"


def _anonymous_bytes() -> int:
    """Memory that is this process's own: mapped files and the like are the system's to take back."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status; run the suite on Linux")


@dataclass(frozen=True, slots=True)
class Claim:
    """Claims keys; answers which it holds."""

    keys: Sequence[bytes]
    holder: str
    now_ns: int
    until_ns: int

    def leases(self) -> dict[str, set[bytes]]:
        return {self.holder: set(self.keys)}

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return store.claim(self.keys, self.holder, self.now_ns, self.until_ns)


@dataclass(frozen=True, slots=True)
class Harvest(_Leaseless):
    """Puts samples and records references, a file at a time."""

    references: Sequence[tuple[File, Reference]]

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        for file, reference in self.references:
            store.put(file.content, file.sample.chunks())
            store.record({file.signature: file.content}, [reference])
        return None


@dataclass(frozen=True, slots=True)
class RecordOne(_Leaseless):
    """Records a batch; answers the name of the error that it raised, or an empty string."""

    files: Mapping[Signature, Content]
    references: Sequence[Reference]

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        try:
            store.record(self.files, self.references)
        except KharvestError as error:
            return type(error).__name__
        return ""


@dataclass(frozen=True, slots=True)
class Look(_Leaseless):
    """Answers what one page of a query has."""

    query: Query

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return store.references(self.query).items
