"""Faults of handles that keep what they have seen: another handle, or process, has changed it since."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from kharvest.spi import (
    Content,
    FileSummary,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.state import State

QUESTIONS = "test_each_question_on_a_second_handle_sees_each_write_at_once"


@caught_by(QUESTIONS)
class CachesKnown(FiledStore):
    """Keeps the signatures that it has found: a signature is never another content's."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Signature, Content] = {}

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        self.cache |= super().known([one for one in signatures if one not in self.cache])
        return {one: self.cache[one] for one in signatures if one in self.cache}


@caught_by(QUESTIONS)
class CachesUnknown(FiledStore):
    """Keeps the signatures that it has not found, and takes those out that it records itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.absent: set[Signature] = set()

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        found = super().known([one for one in signatures if one not in self.absent])
        self.absent |= set(signatures) - found.keys()
        return found

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files, references)
        self.absent -= files.keys()


@caught_by(QUESTIONS)
class CachesPresent(FiledStore):
    """Keeps which contents are there, and forgets those that it discards itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[bytes, Content] = {}

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        self.cache |= super().present([one for one in sha256s if one not in self.cache])
        return {one: self.cache[one] for one in sha256s if one in self.cache}

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        for sha256 in sha256s:
            self.cache.pop(sha256, None)


@caught_by(QUESTIONS)
class CachesBytes(FiledStore):
    """Keeps small contents in memory once they were read."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[bytes, bytes] = {}

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        if sha256 not in self.cache:
            self.cache[sha256] = b"".join(super().read(sha256))
        data = self.cache[sha256][offset:]
        return iter([data] if data else [])

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        for sha256 in sha256s:
            self.cache.pop(sha256, None)


@caught_by(QUESTIONS)
class CachesNewest(FiledStore):
    """Keeps the newest of each timeline, and renews it with each write of its own."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Timeline, Reference] = {}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        self.cache |= super().newest([one for one in timelines if one not in self.cache])
        return {one: self.cache[one] for one in timelines if one in self.cache}

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        self.cache.clear()
        return super().append(files, references)


@caught_by(QUESTIONS)
class CachesSummaries(FiledStore):
    """Keeps the pages of summaries until it writes."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Query, Page[FileSummary]] = {}

    def files(self, query: Query) -> Page[FileSummary]:
        if query not in self.cache:
            self.cache[query] = super().files(query)
        return self.cache[query]

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.cache.clear()
        super().record(files, references)


@caught_by(QUESTIONS)
class ListsContentsOnce(FiledStore):
    """Lists the contents when it is opened, and follows its own puts and discards."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.listed = {one.sha256: one for one in super().contents()}

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        self.listed[content.sha256] = content

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        for sha256 in sha256s:
            self.listed.pop(sha256, None)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return iter([self.listed[one] for one in sorted(self.listed) if one > after])


@caught_by(QUESTIONS)
class ReadsInOneTransactionForEachThread(FiledStore):
    """Has a connection for each thread, whose read transaction ends with its next write."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.main = threading.get_ident()
        self.seen: dict[int, list[Reference]] = {}

    def matching(self, state: State, query: Query) -> list[Reference]:
        thread = threading.get_ident()
        if thread == self.main:
            return super().matching(state, query)
        every = self.seen.setdefault(thread, super().matching(state, Query()))
        return [one for one in every if self.fits(one, query)]


@caught_by("test_each_question_in_another_process_sees_each_write_at_once")
class TellsTheHandlesOfItsProcess(FiledStore):
    """Keeps what it has read until a handle of its process writes: all of them share one cache."""

    cache: dict[str, State] = {}  # noqa: RUF012  # the fault

    def session(self) -> AbstractContextManager[State]:
        return self._cached()

    @contextmanager
    def _cached(self) -> Iterator[State]:
        with super().session() as state:
            kept = self.cache.get(self.address)
            if kept is not None:
                for name in ("contents", "references", "files", "leases", "arrivals"):
                    setattr(state, name, getattr(kept, name))
            yield state
            self.cache[self.address] = state


@caught_by("test_a_second_handle_stores_what_the_first_has_discarded")
class RemembersWhatItHasStored(FiledStore):
    """Skips a put of what it has put before."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.stored: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if content.sha256 not in self.stored:
            super().put(content, chunks)
            self.stored.add(content.sha256)

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        self.stored -= set(sha256s)


@caught_by("test_a_second_handle_records_by_what_the_first_has_removed")
class RemembersSignaturesItHasRecorded(FiledStore):
    """Does not look signatures up that it has recorded before."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.recorded: dict[Signature, Content] = {}

    def file_of(self, state: State, signature: Signature) -> Content | None:
        return self.recorded.get(signature) or super().file_of(state, signature)

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        if reference.signature in state.files:
            self.recorded[reference.signature] = state.files[reference.signature]

    def forget(self, query: Query) -> int:
        self.recorded.clear()
        return super().forget(query)


@caught_by("test_a_second_handle_records_by_what_the_first_has_removed")
class RemembersContentsItHasSeen(FiledStore):
    """Does not look contents up that were there before."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.seen: set[bytes] = set()

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        named = {content.sha256 for content in files.values()}
        absent = named - state.contents.keys() - self.seen
        if absent:
            raise UnknownContent(sha256s=frozenset(absent))
        self.seen |= named

    def discard(self, sha256s: Collection[bytes]) -> None:
        self.seen -= set(sha256s)
        super().discard(sha256s)


@caught_by("test_a_second_handle_appends_after_what_the_first_has_appended")
class RemembersTheNewestTime(FiledStore):
    """Keeps the newest time of each timeline that it appends to."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        time = self.times.get(reference.timeline)
        return super().last_time(state, reference) if time is None else time

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        self.times |= {one.timeline: one.observed_at_ns for one in appended}
        return appended

    def forget(self, query: Query) -> int:
        self.times.clear()
        return super().forget(query)


@caught_by("test_a_second_handle_sees_what_its_files_conflict_with")
class LooksForConflictsInItsCache(FiledStore):
    """Compares with the files that it knows of, those that were not there when it looked among them."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.looked_up: dict[Signature, Content | None] = {}

    def file_of(self, state: State, signature: Signature) -> Content | None:
        return self.looked_up.setdefault(signature, super().file_of(state, signature))

    def forget(self, query: Query) -> int:
        self.looked_up.clear()
        return super().forget(query)


@caught_by("test_all_handles_see_the_same_leases")
class KeepsLeasesInMemory(FiledStore):
    """Keeps leases where they are fast: in the handle."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.leases: dict[bytes, tuple[str, int]] = {}

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        with super()._transaction() as state:
            state.leases = self.leases
            yield state
            self.leases = state.leases
            state.leases = {}


@caught_by("test_all_handles_see_the_same_leases")
class LeasesInItsProcess(FiledStore):
    """Keeps leases in memory, for all handles of its process."""

    shared: dict[str, dict[bytes, tuple[str, int]]] = {}  # noqa: RUF012  # the fault

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        with super()._transaction() as state:
            state.leases = self.shared.setdefault(self.address, {})
            yield state
            state.leases = {}


@caught_by("test_all_handles_see_the_same_leases")
class LeasesForHandles(FiledStore):
    """Adds the handle to the holder's name: two of one name would share a lease."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, f"{holder} {id(self)}", now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        super().release(keys, f"{holder} {id(self)}")
