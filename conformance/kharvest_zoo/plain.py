"""A correct store on dictionaries, in small steps: a broken one changes one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from kharvest.spi import (
    MAX_TIME_NS,
    Capability,
    Conflict,
    Content,
    FileSummary,
    InvalidCursor,
    InvalidValue,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
    decode_cursor,
    encode_cursor,
)
from kharvest_zoo.state import State

Rank = tuple[int, int]


class PlainStore:
    """Keeps everything in this process, and forgets it when it is closed."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = threading.RLock()
        self.state = State()
        self.last_times: dict[Timeline, int] = {}
        self.looked_at = (0, 0, 0)

    def close(self) -> None:
        pass

    def session(self) -> AbstractContextManager[State]:
        """The state, for one call at a time; what is changed in it is undone if the call fails."""
        return self._locked()

    @contextmanager
    def _locked(self) -> Iterator[State]:
        with self.lock:
            yield self.state

    # contents

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        kept = self.keep(chunks)
        with self.session() as state:
            state.contents.setdefault(content.sha256, (content, kept))

    def keep(self, chunks: Iterable[bytes]) -> object:
        """Keep bytes that are not visible yet; returns what `pieces` finds them by."""
        return list(chunks)

    def pieces(self, kept: object) -> Iterator[bytes]:
        """The bytes of a content."""
        assert isinstance(kept, list)
        return iter(kept)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        with self.session() as state:
            if sha256 not in state.contents:
                raise UnknownContent(sha256s=frozenset({sha256}))
            pieces = self.pieces(state.contents[sha256][1])
        return self.skipped(pieces, offset)

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        """The bytes from an offset on."""
        left = offset
        for piece in pieces:
            if left < len(piece):
                yield piece[left:]
            left = max(0, left - len(piece))

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self.session() as state:
            return {sha256: state.contents[sha256][0] for sha256 in sha256s if sha256 in state.contents}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        with self.session() as state:
            found = [state.contents[sha256][0] for sha256 in sorted(state.contents) if sha256 > after]
        return iter(found)

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self.session() as state:
            for sha256 in sha256s:
                state.contents.pop(sha256, None)

    # references

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
            for reference in references:
                self.add(state, files, reference)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            appended = self.timed(state, references)
            for reference in appended:
                self.add(state, files, reference)
            return appended

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        """References with times at which each is the newest of its timeline."""
        last: dict[Timeline, int] = {}
        timed = []
        for reference in references:
            timeline = reference.timeline
            before = last[timeline] if timeline in last else self.last_time(state, reference)
            at_ns = self.later(before, reference.observed_at_ns)
            if at_ns > MAX_TIME_NS:
                raise InvalidValue("observed-at", "there is no later time", "forget the newest")
            timed.append(replace(reference, observed_at_ns=at_ns))
            last[timeline] = at_ns
        return timed

    def last_time(self, state: State, reference: Reference) -> int:
        """The time of the newest of a reference's timeline; -1 if it has none."""
        if self.looked_at != (id(state), state.arrivals, len(state.references)):  # once for a batch, not for each of it
            self.looked_at = (id(state), state.arrivals, len(state.references))
            self.last_times = {}
            for one in state.references:
                timeline = one.timeline
                self.last_times[timeline] = max(one.observed_at_ns, self.last_times.get(timeline, -1))
        return self.last_times.get(reference.timeline, -1)

    def later(self, before: int, given: int) -> int:
        """The given time if it is later than the one before, else the next one."""
        return max(given, before + 1)

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Refuse a batch that does not fit."""
        self.check_contents(state, files)
        for signature, content in files.items():
            stored = self.file_of(state, signature)
            if stored is not None and stored != content:
                raise Conflict(signature, stored, content)
        named = {one.signature for one in references if not one.signature.is_removal}
        unknown = {one for one in named if one not in files and self.file_of(state, one) is None}
        if unknown:
            raise UnknownContent(signatures=frozenset(unknown))

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        """Refuse files whose content is not there."""
        absent = {content.sha256 for content in files.values()} - state.contents.keys()
        if absent:
            raise UnknownContent(sha256s=frozenset(absent))

    def file_of(self, state: State, signature: Signature) -> Content | None:
        """The content of a known signature."""
        return state.files.get(signature)

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        """Record one reference that fits."""
        if reference in state.references:
            return
        state.references[reference] = state.arrivals
        state.arrivals += 1
        if not reference.signature.is_removal and reference.signature in files:
            state.files[reference.signature] = files[reference.signature]

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            found = {one: self.file_of(state, one) for one in signatures}
            return {signature: content for signature, content in found.items() if content is not None}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            newest = {reference.timeline: reference for reference in self.matching(state, Query(latest=True))}
            return {timeline: newest[timeline] for timeline in timelines if timeline in newest}

    def rank(self, state: State, reference: Reference) -> Rank:
        """Where a reference stands in the order."""
        return reference.observed_at_ns, state.references[reference]

    def matching(self, state: State, query: Query) -> list[Reference]:
        """All references that match, oldest first."""
        found = [reference for reference in state.references if self.is_before(reference, query.until_ns)]
        if query.latest:
            found = self.latest(self.ranked(state, found))
            return [reference for reference in found if self.fits(reference, query)]
        return self.ranked(state, [reference for reference in found if self.fits(reference, query)])

    def ranked(self, state: State, references: list[Reference]) -> list[Reference]:
        """References in their order."""
        return sorted(references, key=lambda reference: self.rank(state, reference))

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        """The newest of each timeline."""
        newest = {reference.timeline: reference for reference in ranked}
        return [reference for reference in ranked if newest[reference.timeline] == reference]

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return until_ns is None or reference.observed_at_ns < until_ns

    def is_since(self, reference: Reference, since_ns: int | None) -> bool:
        return since_ns is None or reference.observed_at_ns >= since_ns

    def same(self, stored: str, asked: str) -> bool:
        """Whether two strings are one."""
        return stored == asked

    def starts(self, path: str, prefix: str) -> bool:
        return path.startswith(prefix)

    def tagged(self, reference: Reference, query: Query) -> bool:
        return reference.metadata.matches(query.metadata)

    def fits(self, reference: Reference, query: Query) -> bool:
        """Whether a reference matches, `until` and `latest` apart."""
        path, pod = reference.signature.path, reference.pod
        return (
            (query.path is None or self.same(path, query.path))
            and (query.path_prefix is None or self.starts(path, query.path_prefix))
            and (query.md5 is None or reference.signature.md5 == query.md5)
            and (query.namespace is None or self.same(pod.namespace, query.namespace))
            and (query.pod is None or self.same(pod.name, query.pod))
            and (query.uid is None or self.same(pod.uid, query.uid))
            and self.is_since(reference, query.since_ns)
            and self.tagged(reference, query)
        )

    def references(self, query: Query) -> Page[Reference]:
        with self.session() as state:
            found = self.matching(state, query)
            ranks = [self.rank(state, reference) for reference in found]
        if query.order is Order.NEWEST_FIRST:
            found, ranks = found[::-1], ranks[::-1]
        return self.page(query, found, ranks)

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        """What follows the cursor, up to the limit."""
        start = self.start(query, ranks)
        items = found[start : start + query.limit]
        more = start + query.limit < len(found)
        return Page(tuple(items), encode_cursor(query, *ranks[start + query.limit - 1]) if more else None)

    def start(self, query: Query, ranks: list[Rank]) -> int:
        """Where the page begins."""
        match decode_cursor(query):
            case None:
                return 0
            case (int(at), int(arrival)):
                after = (at, arrival)
            case _:
                raise InvalidCursor
        newest_first = query.order is Order.NEWEST_FIRST
        passed = [rank >= after if newest_first else rank <= after for rank in ranks]
        return sum(passed)

    def files(self, query: Query) -> Page[FileSummary]:
        with self.session() as state:
            summaries = self.summarise(state, self.matching(state, query))
        match decode_cursor(query):
            case None:
                after = ("", "")
            case (str(path), str(md5)):
                after = (path, md5)
            case _:
                raise InvalidCursor
        left = [one for one in summaries if (one.signature.path, one.signature.md5.hex()) > after]
        items = tuple(left[: query.limit])
        more = len(left) > query.limit
        last = items[-1].signature if items else None
        return Page(items, encode_cursor(query, last.path, last.md5.hex()) if more and last else None)

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        """Summaries in their order."""
        by_file: dict[Signature, list[Reference]] = {}
        for reference in references:
            if not reference.signature.is_removal:
                by_file.setdefault(reference.signature, []).append(reference)
        return [self.summary(state, signature, by_file[signature]) for signature in sorted(by_file)]

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        times = [reference.observed_at_ns for reference in references]
        pods = {reference.pod for reference in references}
        return FileSummary(signature, state.files[signature], len(pods), min(times), max(times))

    def forget(self, query: Query) -> int:
        with self.session() as state:
            found = self.matching(state, query)
            if query.order is Order.NEWEST_FIRST:
                found.reverse()
            doomed = found[: query.limit]
            for reference in doomed:
                del state.references[reference]
            self.forget_files(state, doomed)
            return len(doomed)

    def forget_files(self, state: State, doomed: list[Reference]) -> None:  # for others to use
        """Forget what no reference names any more."""
        named = {reference.signature for reference in state.references}
        state.files = {signature: content for signature, content in state.files.items() if signature in named}

    # claims, and their clock

    def now_ns(self) -> int:
        return time.time_ns()

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            held = {key for key in keys if self.is_free(state, key, holder, now_ns)}
            for key in held:
                state.leases[key] = (holder, until_ns)
            return held

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        """Whether a holder may have a key."""
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or until <= now_ns

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            for key in keys:
                if state.leases.get(key, ("", 0))[0] == holder:
                    del state.leases[key]
