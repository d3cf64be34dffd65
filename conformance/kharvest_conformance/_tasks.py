"""What worker processes do. A task is sent pickled; what it reports and returns is sent back."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar, Protocol

from kharvest.spi import Content, KharvestError, Metadata, Pod, Query, Reference, Signature, Store
from kharvest_conformance._questions import QUESTIONS
from kharvest_conformance._samples import BLOCK, File, Sample, WatchedChunks, contents_by_signature

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


def undone_by(number: int) -> int | None:
    """Which write the crash test's write with this number undoes, if any."""
    return number - 2 if number % 3 == 2 else None  # noqa: PLR2004  # every third undoes the one before the one before


CRASH_HOLDER = "the one that is killed"
CRASH_LEASE_NS = 1_000_000
CRASH_WRITES = 1900
"""Where the crash test's process ends when nobody kills it: before its references fill a page."""


@dataclass(frozen=True, slots=True)
class WriteUntilKilled:
    """Puts, records or appends, and claims until it is killed; some writes undo all of one before them.

    It reports each write's number when it is acknowledged.
    """

    def leases(self) -> dict[str, set[bytes]]:
        """More than it will come to."""
        return {CRASH_HOLDER: {crash_key(number) for number in range(CRASH_WRITES)}}

    def run(self, store: Store, report: Report) -> object:
        for number in range(CRASH_WRITES):
            files = crash_files(number)
            store.put(files[0].content, files[0].sample.chunks(100))
            write = store.append if number % 2 else store.record
            write({file.signature: file.content for file in files}, crash_references(number))
            store.claim([crash_key(number)], CRASH_HOLDER, 1, CRASH_LEASE_NS)
            undone = undone_by(number)
            if undone is not None:
                store.forget(Query(path_prefix=f"/crash/{undone}/"))
                store.discard([crash_files(undone)[0].content.sha256])
                store.release([crash_key(undone)], CRASH_HOLDER)
            report(number)
        return "not killed in time"


@dataclass(frozen=True, slots=True)
class Churn:
    """Writes without end: records, appends and forgets batches of `size`, claims and releases as many keys, and puts.

    It reports after each write.
    """

    size: ClassVar[int] = 200
    kinds: ClassVar[int] = 8
    holder: ClassVar[str] = "the one that churns"
    pods: ClassVar[tuple[Pod, ...]] = (Pod("churn", "recorded"), Pod("churn", "appended"))
    keys: ClassVar[tuple[bytes, ...]] = tuple(b"churn/%d" % number for number in range(200))

    def leases(self) -> dict[str, set[bytes]]:
        """All its keys."""
        return {self.holder: set(self.keys)}

    def run(self, store: Store, report: Report) -> object:
        file = File("/churn", Sample(100))
        files = {file.signature: file.content}
        recorded, appended = ([file.seen(at, pod) for at in range(self.size)] for pod in self.pods)
        other = File("/churn/discarded", Sample(50_000, 5))
        writes: tuple[Callable[[], object], ...] = (
            lambda: store.record(files, recorded),
            lambda: store.append(files, appended),
            lambda: store.claim(self.keys, self.holder, 0, 1000),
            lambda: store.put(other.content, other.sample.chunks(10_000)),
            lambda: store.forget(Query(path=file.path, pod=self.pods[0].name)),
            lambda: store.release(self.keys, self.holder),
            lambda: store.forget(Query(path=file.path, pod=self.pods[1].name)),
            lambda: store.discard([other.content.sha256]),
        )
        store.put(file.content, file.sample.chunks())
        while True:
            for write in writes:
                report("at it")
                write()

    @classmethod
    def counts(cls, store: Store) -> dict[Pod, int]:
        """How many references of its batches are there."""
        return dict(Counter(one.pod for one in store.references(Query(path="/churn", limit=10_000)).items))


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
class Discard(_Leaseless):
    """Discards contents, and puts one of them again if a sample is given."""

    sha256s: Sequence[bytes]
    again: Sample | None = None

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        store.discard(self.sha256s)
        if self.again is not None:
            store.put(self.again.content, self.again.chunks(1999))
        return None


WEIGHED_CHUNKS = 8


@dataclass(frozen=True, slots=True)
class Weigh(_Leaseless):
    """Puts a content, and reads it from several offsets; reports how much memory each took at its height, in bytes."""

    sample: Sample

    @staticmethod
    def offsets(sample: Sample) -> tuple[int, ...]:
        """Where reading starts: at the beginning, beyond a third, and close to the end."""
        return 0, sample.size // 3 + 1, sample.size - BLOCK - 1

    def run(self, store: Store, report: Report) -> object:
        small = Sample(BLOCK, self.sample.variant + 1)
        store.put(small.content, small.chunks())  # what is loaded on the first call is not the content's weight
        for _chunk in store.read(small.content.sha256):
            pass

        before = height = _anonymous_bytes()

        def weigh(chunk: int) -> None:
            nonlocal height
            if chunk % WEIGHED_CHUNKS == 0:
                height = max(height, _anonymous_bytes())

        store.put(self.sample.content, WatchedChunks(self.sample.chunks(), weigh))
        report(height - before)

        for offset in self.offsets(self.sample):
            before = height = _anonymous_bytes()
            size = offset
            for number, chunk in enumerate(store.read(self.sample.content.sha256, offset)):
                size += len(chunk)
                weigh(number)
            report(height - before if size == self.sample.size else f"read gave {size - offset} bytes")
        return None


def _anonymous_bytes() -> int:
    """Memory that is this process's own and in use: mapped files and the like are the system's to take back."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # what was used and is free again counts no more
        trim(0)
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
class Release(_Leaseless):
    """Releases keys; answers nothing."""

    keys: Sequence[bytes]
    holder: str

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        store.release(self.keys, self.holder)
        return None


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
class Append(_Leaseless):
    """Appends references one by one; answers the times at which they were recorded."""

    file: File
    references: Sequence[Reference]

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        files = {self.file.signature: self.file.content}
        return [store.append(files, [one])[0].observed_at_ns for one in self.references]


BATCH_FILES = tuple(File(f"/batch/{number}", Sample(100)) for number in range(100))
"""The files of which each batch of `WriteBatches` has a reference."""


@dataclass(frozen=True, slots=True)
class WriteBatches(_Leaseless):
    """Records, appends to and forgets references to all of its files, a batch at a time."""

    rounds: int

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        files = {file.signature: file.content for file in BATCH_FILES}
        store.put(BATCH_FILES[0].content, BATCH_FILES[0].sample.chunks())
        for _round in range(self.rounds):
            store.record(files, [file.seen(1) for file in BATCH_FILES])
            store.append({}, [file.seen(1) for file in BATCH_FILES])
            store.forget(Query(path_prefix="/batch/"))
        return None


@dataclass(frozen=True, slots=True)
class Now(_Leaseless):
    """Answers what time it is by the store's clock."""

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return store.now_ns()


@dataclass(frozen=True, slots=True)
class Ask(_Leaseless):
    """Asks one question about a file."""

    question: str
    file: File

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return QUESTIONS[self.question](store, self.file)


@dataclass(frozen=True, slots=True)
class Look(_Leaseless):
    """Answers what one page of a query has."""

    query: Query

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return store.references(self.query).items


MEETING_FILES = tuple(File(f"/meeting/{number}", Sample(40, number)) for number in range(3))
"""What writers that meet record and forget."""
MEETING_TURNS = 3


def meeting_turn(number: int) -> File:
    """What writers that meet forget and record again in one round."""
    return File(f"/meeting/turn/{number}", MEETING_FILES[0].sample)


MEETING_NAMED = contents_by_signature(MEETING_FILES)


def meet(store: Store, writer: int, rounds: int) -> tuple[int, int, list[Reference]]:
    """Record, append and forget references to files that others record, append and forget too.

    Returns how many were recorded at times that nobody else gives, how many were forgotten, and what was appended.
    """
    recorded = forgotten = 0
    appended: list[Reference] = []
    for number in range(rounds):
        own = Pod("meeting", f"writer-{writer}")
        files = MEETING_FILES if writer % 2 else MEETING_FILES[::-1]
        if (writer + number) % 3 == 0:
            forgotten += store.forget(Query(path=files[0].path, limit=1 + number % 3))
        batch = [file.seen(2**60 + number, own) for file in files]
        store.record(dict(MEETING_NAMED), batch)
        recorded += len(batch)
        common = Pod("meeting", "of all")
        for turn in range(MEETING_TURNS):  # a file that nobody names any more is named again just then
            file = meeting_turn(number)
            forgotten += store.forget(Query(path=file.path, limit=10_000))
            store.record({file.signature: file.content}, [file.seen(2**61 + turn, own)])
            recorded += 1
        tag = Metadata({"by": f"{writer}", "number": f"{number}"})
        appended += store.append(dict(MEETING_NAMED), [file.seen(number, common, tag) for file in files])
        if (writer + number) % 3 == 1:
            forgotten += store.forget(Query(namespace="meeting", pod=own.name, path_prefix="/meeting"))
        elif (writer + number) % 3:
            forgotten += store.forget(Query(path=files[-1].path, pod=common.name, until_ns=2**59, limit=2))
    return recorded, forgotten, appended


@dataclass(frozen=True, slots=True)
class Meet(_Leaseless):
    """Does what `meet` does; answers what it returns."""

    writer: int
    rounds: int

    def run(self, store: Store, report: Report) -> object:  # noqa: ARG002
        return meet(store, self.writer, self.rounds)
