"""The references half: references, the files they name, and claims."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from kharvest.spi import (
    Capability,
    Content,
    FileSummary,
    InvalidCursor,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
    decode_cursor,
    encode_cursor,
)
from kharvest.spi.recording import after_newest, require_known, require_present
from kharvest_memory._history import History

Present = Callable[[Collection[bytes]], dict[bytes, Content]]


class References:
    """References and claims. Thread-safe: `_lock` guards all of it.

    `present` is the contents half's; without one, this half stands alone and believes what `files` says.
    """

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, present: Present | None = None) -> None:
        self._lock = threading.Lock()
        self._present = present
        self._history = History()
        self._files: dict[Signature, Content] = {}  # of signatures that a reference names, and no others
        self._signatures: list[Signature] = []  # the keys of `_files`, ascending
        self._claims: dict[bytes, tuple[str, int]] = {}

    def close(self) -> None:
        """Nothing to release but memory."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self._lock:
            self._check(files, references)
            self._add(files, references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self._lock:
            self._check(files, references)
            timelines = [one.timeline for one in references]
            newest = {timeline: one.observed_at_ns for timeline, one in self._newest(set(timelines)).items()}
            appended = after_newest(references, timelines, newest)
            self._add(files, appended)
        return appended

    def _add(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        for reference in references:
            signature = reference.signature
            if not signature.is_removal and signature not in self._files:
                self._files[signature] = files[signature]
                insort(self._signatures, signature)
            self._history.add(reference)

    def _check(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Everything that can be wrong with a batch, before the first change."""
        require_present(files, self._present)
        require_known(files, references, self._files)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self._lock:
            return {signature: self._files[signature] for signature in signatures if signature in self._files}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self._lock:
            return self._newest(timelines)

    def _newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = ((timeline, self._history.newest(timeline)) for timeline in timelines)
        return {timeline: reference for timeline, reference in found if reference is not None}

    def references(self, query: Query) -> Page[Reference]:
        after = _entry_position(query)
        with self._lock:
            entries = list(islice(self._history.matching(query, after), query.limit + 1))
        cursor = None
        if len(entries) > query.limit:
            cursor = encode_cursor(query, *entries[query.limit - 1][:2])
        return Page(tuple(entry[2] for entry in entries[: query.limit]), cursor)

    def files(self, query: Query) -> Page[FileSummary]:
        after = _signature_position(query)
        with self._lock:
            summaries = (self._summary(signature, query) for signature in self._signatures_from(query, after))
            items = list(islice((one for one in summaries if one is not None), query.limit + 1))
        cursor = None
        if len(items) > query.limit:
            last = items[query.limit - 1].signature
            cursor = encode_cursor(query, last.path, last.md5.hex())
        return Page(tuple(items[: query.limit]), cursor)

    def _signatures_from(self, query: Query, after: tuple[str, bytes] | None) -> Iterator[Signature]:
        """The files that the query's path and MD5 allow, ascending, from behind `after` on."""
        prefix = query.path or query.path_prefix or ""
        first = bisect_left(self._signatures, (prefix, b""), key=_name)
        if after is not None:
            first = max(first, bisect_right(self._signatures, after, key=_name))
        for signature in islice(self._signatures, first, None):
            if not signature.path.startswith(prefix) or (query.path is not None and signature.path != query.path):
                return
            if query.md5 is None or query.md5 == signature.md5:
                yield signature

    def _summary(self, signature: Signature, query: Query) -> FileSummary | None:
        asked = replace(query, path=signature.path, path_prefix=None, md5=signature.md5, order=Order.OLDEST_FIRST)
        references = [entry[2] for entry in self._history.matching(asked)]
        if not references:
            return None
        return FileSummary(
            signature,
            self._files[signature],
            pods=len({reference.pod for reference in references}),
            first_seen_ns=references[0].observed_at_ns,
            last_seen_ns=references[-1].observed_at_ns,
        )

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = set()
        with self._lock:
            for key in keys:
                owner, end_ns = self._claims.get(key, (holder, until_ns))
                if owner == holder or end_ns <= now_ns:
                    self._claims[key] = (holder, until_ns)
                    held.add(key)
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self._lock:
            for key in keys:
                if key in self._claims and self._claims[key][0] == holder:
                    del self._claims[key]

    def now_ns(self) -> int:
        return time.time_ns()

    def forget(self, query: Query) -> int:
        with self._lock:
            entries = list(islice(self._history.matching(query), query.limit))
            for entry in entries:
                self._history.remove(entry)
                signature = entry[2].signature
                if signature in self._files and not self._history.names(signature):
                    del self._files[signature]
                    del self._signatures[bisect_left(self._signatures, signature)]
        return len(entries)


def _name(signature: Signature) -> tuple[str, bytes]:
    return signature.path, signature.md5


def _entry_position(query: Query) -> tuple[int, int] | None:
    match decode_cursor(query):
        case None:
            return None
        case (int(time_ns), int(number)):
            return time_ns, number
        case _:
            raise InvalidCursor


def _signature_position(query: Query) -> tuple[str, bytes] | None:
    match decode_cursor(query):
        case None:
            return None
        case (str(path), str(md5)):
            with suppress(ValueError):  # not hexadecimal: not made here
                return path, bytes.fromhex(md5)
    raise InvalidCursor
