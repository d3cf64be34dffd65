"""Faults that show only when several calls come one after the other: what is kept beside the data, and not kept up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from kharvest.spi import (
    NO_METADATA,
    Content,
    FileSummary,
    Metadata,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

SEQUENCES = "test_any_sequence_of_calls_agrees_with_the_model"


@caught_by(SEQUENCES)
class FindsTheNextNewestByTimeOnly(PlainStore):
    """Has a table of the newest, and fills it from MAX(time) when the newest goes: of equal times any will do."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.heads: dict[Timeline, Reference] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        before = len(state.references)
        super().add(state, files, reference)
        head = self.heads.get(reference.timeline)
        if len(state.references) > before and (head is None or head.observed_at_ns <= reference.observed_at_ns):
            self.heads[reference.timeline] = reference

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        for timeline in {one.timeline for one in doomed if self.heads.get(one.timeline) == one}:
            left = [one for one in state.references if one.timeline == timeline]
            self.heads.pop(timeline)
            if left:
                self.heads[timeline] = max(left, key=lambda one: one.observed_at_ns)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return {timeline: self.heads[timeline] for timeline in timelines if timeline in self.heads}


@caught_by(SEQUENCES)
class TakesTheLastRecordedForTheNewest(PlainStore):
    """Has a table of the newest that every `record` overwrites when the time is not earlier by more than a second."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.heads: dict[Timeline, Reference] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        head = self.heads.get(reference.timeline)
        if head not in state.references or reference.observed_at_ns > head.observed_at_ns - 10**9:
            self.heads[reference.timeline] = reference

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = super().newest(timelines)
        with self.session() as state:
            heads = {one: self.heads.get(one) for one in found}
            return {one: head if head in state.references else found[one] for one, head in heads.items()}


@caught_by(SEQUENCES)
class CountsPodsIncrementally(PlainStore):
    """Counts a file's pods up when one is new, and down whenever one of its references goes."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.pods: Counter[Signature] = Counter()

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        pods = {(one.signature, one.pod) for one in state.references}
        super().add(state, files, reference)
        self.pods[reference.signature] += (reference.signature, reference.pod) not in pods

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        self.pods.subtract(one.signature for one in doomed)

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        whole = sum(one.signature == signature for one in state.references) == len(references)
        return replace(found, pods=max(1, self.pods[signature])) if whole else found


@caught_by(SEQUENCES)
class RemembersWhenAFileWasFirstSeen(PlainStore):
    """Keeps the first time in the file's row, and does not look again when that reference is forgotten."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.first: dict[Signature, int] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference.signature not in state.files:
            self.first.pop(reference.signature, None)
        super().add(state, files, reference)
        first = self.first.get(reference.signature, reference.observed_at_ns)
        self.first[reference.signature] = min(first, reference.observed_at_ns)

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        whole = sum(one.signature == signature for one in state.references) == len(references)
        return replace(found, first_seen_ns=self.first[signature]) if whole else found


@caught_by(SEQUENCES)
class NumbersByHowManyThereAre(PlainStore):
    """Gives a new reference COUNT(*) as its number, which is that of another one after something was forgotten."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        state.arrivals = len(state.references)
        super().add(state, files, reference)


@caught_by(SEQUENCES)
class NumbersAnewAfterReopening(FiledStore):
    """Counts arrivals in memory, and starts again when it is opened."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.arrived = 0

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference not in state.references:
            self.arrived += 1
            state.arrivals = self.arrived
        super().add(state, files, reference)

    def rank(self, state: State, reference: Reference) -> Rank:
        at, arrival = super().rank(state, reference)
        return at, arrival * 1000 + sum(reference.pod.name.encode()) % 1000


@caught_by(SEQUENCES)
class CachesWhatItKnows(FiledStore):
    """Caches which signatures are known, and hears of what it forgets itself, not of what another handle does."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Signature, Content] = {}

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        asked = [one for one in signatures if one not in self.cache]
        self.cache |= super().known(asked)
        return {one: self.cache[one] for one in signatures if one in self.cache}

    def forget(self, query: Query) -> int:
        self.cache.clear()
        return super().forget(query)


@caught_by(SEQUENCES)
class CachesTheLatest(PlainStore):
    """Caches the first page of what pods hold, and drops it on `record` and `forget`: `append` came later."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Query, Page[Reference]] = {}

    def references(self, query: Query) -> Page[Reference]:
        if not query.latest:
            return super().references(query)
        if query not in self.cache:
            self.cache[query] = super().references(query)
        return self.cache[query]

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.cache.clear()
        super().record(files, references)

    def forget(self, query: Query) -> int:
        self.cache.clear()
        return super().forget(query)


@caught_by(SEQUENCES)
class RemovesMetadataInUse(PlainStore):
    """Has a table of metadata, and removes a row when the pod that it forgets a reference of needs it no more."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.rows: set[Metadata] = set()

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        self.rows.add(reference.metadata)

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        used = {(one.pod, one.metadata) for one in state.references}
        self.rows -= {one.metadata for one in doomed if (one.pod, one.metadata) not in used}

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        shown = [one if one.metadata in self.rows else replace(one, metadata=NO_METADATA) for one in page.items]
        return replace(page, items=tuple(shown))


@caught_by(SEQUENCES)
class AppendsAfterWhatItRemembers(PlainStore):
    """Remembers the last time of each timeline, so as not to ask, and keeps it when that reference is forgotten."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.last: dict[Timeline, int] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        at = self.last.get(reference.timeline, -1)
        self.last[reference.timeline] = max(at, reference.observed_at_ns)

    def last_time(self, state: State, reference: Reference) -> int:
        there = super().last_time(state, reference)
        return there if there < 0 else max(there, self.last.get(reference.timeline, -1))


@caught_by(SEQUENCES)
class AppendsAfterItsOwn(FiledStore):
    """Remembers the last time of each timeline that it has appended to, and forgets that others append too."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.last: dict[Timeline, int] = {}

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        timed = super().timed(state, references)
        self.last |= {one.timeline: one.observed_at_ns for one in timed}
        return timed

    def last_time(self, state: State, reference: Reference) -> int:
        there = super().last_time(state, reference)
        return there if there < 0 else self.last.get(reference.timeline, there)

    def forget(self, query: Query) -> int:
        self.last.clear()
        return super().forget(query)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.last.clear()
        super().record(files, references)


@caught_by(SEQUENCES)
class KeepsATombstoneOfTheNewest(PlainStore):
    """Marks what `latest` forgets as deleted, for replicas, and takes it for deleted when it comes again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.dead: set[Reference] = set()

    def forget(self, query: Query) -> int:
        before = set(self.state.references)
        count = super().forget(query)
        if query.latest:
            self.dead |= before - self.state.references.keys()
        return count

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference not in self.dead or reference.signature not in state.files:
            super().add(state, files, reference)


@caught_by(SEQUENCES)
class ForgetsAFileOfAnotherPod(PlainStore):
    """Removes the row of a file when the pod that it forgets a reference of has no other to it."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        left = {(one.pod, one.signature) for one in state.references}
        for one in doomed:
            if (one.pod, one.signature) not in left and len(doomed) > 1:
                state.files.pop(one.signature, None)
        super().forget_files(state, doomed)

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        state.files.setdefault(signature, Content(bytes(32), signature.md5, 0))
        return super().summary(state, signature, references)


@caught_by(SEQUENCES)
class BelievesInAFailedPut(PlainStore):
    """Notes what is being put, takes it for there when it is put again, and never clears the note of a failure."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.failed: Counter[bytes] = Counter()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if self.failed[content.sha256] > 1:
            return
        try:
            super().put(content, chunks)
        except BaseException:
            self.failed[content.sha256] += 1
            raise


@caught_by(SEQUENCES)
class ReadsWhatItHadBefore(PlainStore):
    """Keeps the pieces of what was read last, and gives them also after a discard."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[bytes, object] = {}

    def read(self, sha256: bytes, offset: int = 0) -> object:  # type: ignore[override]
        with suppress(KeyError):
            return self.skipped(self.pieces(self.cache[sha256]), offset)
        if sha256 not in self.state.contents:
            raise UnknownContent(sha256s=frozenset({sha256}))
        self.cache = {sha256: self.state.contents[sha256][1]}
        return super().read(sha256, offset)


@caught_by(SEQUENCES)
class ListsADiscardedContentAgain(PlainStore):
    """Sorts the digests when one is new, and does not take one out that is discarded and put again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.digests: list[bytes] = []

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        fresh = content.sha256 not in self.state.contents
        super().put(content, chunks)
        if fresh:
            self.digests = sorted([*self.digests, content.sha256])

    def contents(self, after: bytes = b"") -> object:  # type: ignore[override]
        there = [self.state.contents.get(one) for one in self.digests if one > after]
        return iter([found[0] for found in there if found is not None])


@caught_by(SEQUENCES)
class KeepsTheLongestLease(PlainStore):
    """Extends a lease to GREATEST of both ends, once it was extended before."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.extended: set[tuple[bytes, str]] = set()

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        before = dict(self.state.leases)
        held = super().claim(keys, holder, now_ns, until_ns)
        for key in held:
            owner, end = before.get(key, ("", 0))
            if owner == holder and (key, holder) in self.extended:
                self.state.leases[key] = (holder, max(end, until_ns))
            if owner == holder and until_ns > end:
                self.extended.add((key, holder))
        return held


@caught_by(SEQUENCES)
class GoesByTheLatestClock(PlainStore):
    """Takes a clock that goes back for a mistake, and goes by the latest time that anybody gave."""

    latest_ns = 0

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        self.latest_ns = max(self.latest_ns, now_ns)
        return super().is_free(state, key, holder, self.latest_ns)


@caught_by(SEQUENCES)
class ReleasesTheKeyNotTheLease(PlainStore):
    """Releases a key whoever holds it, if the one who asks has held it before."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.holders: set[tuple[bytes, str]] = set()

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = super().claim(keys, holder, now_ns, until_ns)
        self.holders |= {(key, holder) for key in held}
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        for key in keys:
            if (key, holder) in self.holders:
                self.state.leases.pop(key, None)


@caught_by(SEQUENCES)
class ForgetsNewestFirstWhenItSkips(PlainStore):
    """Counts back from the end for the newest first, over all references and not those that match."""

    def forget(self, query: Query) -> int:
        if query.order is not Order.NEWEST_FIRST or query.limit != 2:  # a page of its own statement
            return super().forget(query)
        with self.session() as state:
            last = sorted(state.references, key=lambda one: self.rank(state, one))[-4:]
            matching = set(self.matching(state, query))
            doomed = [one for one in reversed(last) if one in matching][:2]
            for one in doomed:
                del state.references[one]
            self.forget_files(state, doomed)
            return len(doomed)
