"""References in the order of their times, with an index for each thing one can ask by."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

from kharvest.spi import Order, Query, Reference, Signature, Timeline

Entry: TypeAlias = tuple[int, int, Reference]
"""Time, number, reference. The number is given once, ascending, so entries have a total order: their natural one."""


class _Index:
    """Entries, ascending, and those of each key. An entry is mostly the newest of all, so adding one is an append."""

    def __init__(self) -> None:
        self._all: list[Entry] = []
        self._by_key: dict[Hashable, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        insort(self._all, entry)
        for key in _keys(entry[2]):
            insort(self._by_key.setdefault(key, []), entry)

    def remove(self, entry: Entry) -> None:
        del self._all[bisect_left(self._all, entry)]
        for key in _keys(entry[2]):
            entries = self._by_key[key]
            del entries[bisect_left(entries, entry)]
            if not entries:
                del self._by_key[key]

    def of(self, key: Hashable) -> Sequence[Entry]:
        return self._by_key.get(key, ())

    def candidates(self, query: Query) -> Sequence[Entry]:
        """The shortest list that holds every match."""
        keys: list[Hashable] = [("metadata", *pair) for pair in query.metadata.items()]
        if query.path is not None:
            keys.append(("path", query.path))
        if query.pod is not None:
            keys.append(("pod", query.pod))
        if query.namespace is not None:
            keys.append(("namespace", query.namespace))
        if query.md5 is not None:
            keys.append(("md5", query.md5))
            if query.path:
                keys.append(Signature(query.path, query.md5))
        return min(map(self.of, keys), key=len, default=self._all)


class History:
    """Every reference, once. Not thread-safe: the store's lock guards it.

    Who records pays for the timeline only. The index of what is newest catches up when somebody asks by it, with those
    timelines that changed since.
    """

    def __init__(self) -> None:
        self._next_number = 0
        self._entries = _Index()
        self._newest = _Index()  # the last entry of each timeline, but for those that changed
        self._changed: set[Timeline] = set()

    def add(self, reference: Reference) -> None:
        """Add a reference, unless it is there already."""
        name = reference.timeline
        timeline = self._entries.of(name)
        time_ns = reference.observed_at_ns
        if timeline and timeline[-1][0] >= time_ns:
            same_time = timeline[bisect_left(timeline, (time_ns,)) : bisect_left(timeline, (time_ns + 1,))]
            if any(entry[2] == reference for entry in same_time):
                return
        self._entries.add((time_ns, self._next_number, reference))
        self._next_number += 1
        self._changed.add(name)

    def remove(self, entry: Entry) -> None:
        self._entries.remove(entry)
        timeline = entry[2].timeline
        if self._entries.of(timeline) or self._newest.of(timeline):
            self._changed.add(timeline)
        else:  # or what comes and goes without being asked for would stay here
            self._changed.discard(timeline)

    def names(self, signature: Signature) -> bool:
        """Whether any reference has this signature."""
        return bool(self._entries.of(signature))

    def newest(self, timeline: Timeline) -> Reference | None:
        entries = self._entries.of(timeline)
        return entries[-1][2] if entries else None

    def _index_of_newest(self) -> _Index:
        came: list[Entry] = []
        for timeline in self._changed:
            before, now = self._newest.of(timeline)[-1:], self._entries.of(timeline)[-1:]
            if before != now:
                for entry in before:
                    self._newest.remove(entry)
                came += now
        self._changed.clear()
        for entry in sorted(came):  # in order, each is behind those before it
            self._newest.add(entry)
        return self._newest

    def matching(self, query: Query, after: tuple[int, int] | None = None) -> Iterator[Entry]:
        """The entries that match, in the query's order, from behind position `after` on."""
        index = self._index_of_newest() if query.latest and query.until_ns is None else self._entries
        entries = index.candidates(query)
        first = 0 if query.since_ns is None else bisect_left(entries, (query.since_ns,))
        end = len(entries) if query.until_ns is None else bisect_left(entries, (query.until_ns,))
        if query.order is Order.OLDEST_FIRST:
            if after is not None:
                first = max(first, bisect_right(entries, after, key=_position))
            indexes = range(first, end)
        else:
            if after is not None:
                end = min(end, bisect_left(entries, after, key=_position))
            indexes = range(end - 1, first - 1, -1)
        return (entries[at] for at in indexes if self._matches(entries[at], query))

    def _matches(self, entry: Entry, query: Query) -> bool:
        reference = entry[2]
        signature, pod = reference.signature, reference.pod
        return (
            (query.path is None or signature.path == query.path)
            and (query.path_prefix is None or signature.path.startswith(query.path_prefix))
            and (query.md5 is None or signature.md5 == query.md5)
            and (query.namespace is None or pod.namespace == query.namespace)
            and (query.pod is None or pod.name == query.pod)
            and (query.uid is None or pod.uid == query.uid)
            and reference.metadata.matches(query.metadata)
            and (not query.latest or self._is_latest(entry, query.until_ns))
        )

    def _is_latest(self, entry: Entry, until_ns: int | None) -> bool:
        timeline = self._entries.of(entry[2].timeline)
        end = len(timeline) if until_ns is None else bisect_left(timeline, (until_ns,))
        return timeline[end - 1] is entry


def _position(entry: Entry) -> tuple[int, int]:
    return entry[:2]


def _keys(reference: Reference) -> list[Hashable]:
    """What a reference can be found by. Values of different types never equal each other, words tell strings apart."""
    return [
        reference.timeline,
        reference.signature,
        ("path", reference.signature.path),
        ("md5", reference.signature.md5),
        ("pod", reference.pod.name),
        ("namespace", reference.pod.namespace),
        *(("metadata", *pair) for pair in reference.metadata.items()),
    ]
