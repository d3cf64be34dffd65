"""Forgetting: from the references that match to the rows to delete. See `shared` for why it may take two commits.

What others record between the last view and its commit counts as recorded afterwards: it stays.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence

from kharvest.records import _keys as keys
from kharvest.records import _querying as querying
from kharvest.records import _rows as rows
from kharvest.records import _shared as shared
from kharvest.records._commits import Change
from kharvest.records._engine import View
from kharvest.records._metadata import MetadataSets
from kharvest.records._querying import Match
from kharvest.records._recording import Place
from kharvest.records._rows import Head
from kharvest.records._shared import Shared
from kharvest.spi import Query, Timeline

_ALL = 2**62


class Forgetting:
    """One call of `forget`, over as many views and commits as it takes."""

    def __init__(self, query: Query, sets: MetadataSets) -> None:
        self._query = query
        self._sets = sets
        self._marked: dict[bytes, bytes] = {}

    def plan(self, view: View) -> Change[int]:
        """The changes of the next commit."""
        matches = querying.search(view, self._query, self._sets, wanted=self._query.limit, steps=_ALL)
        found = matches.found[: self._query.limit]
        change = Change(len(found))
        placed = [(one, Place.of(one.reference, one.metadata_id)) for one in found]
        by_timeline: dict[Timeline, list[Place]] = {}
        for one, place in placed:
            change.expected[keys.reference(place.rank)] = one.row
            change.deletes.add(keys.reference(place.rank))
            change.deletes.add(place.signature_key())
            change.deletes.update(place.history_keys())
            by_timeline.setdefault(one.reference.timeline, []).append(place)
        self._take_from_timelines(change, view, by_timeline)
        self._release(change, view, placed)
        return change

    def _take_from_timelines(
        self, change: Change[int], view: View, by_timeline: Mapping[Timeline, Sequence[Place]]
    ) -> None:
        ids = {timeline: keys.timeline_id(timeline) for timeline in by_timeline}
        heads = view.get([keys.head(one) for one in ids.values()])
        for timeline, places in by_timeline.items():
            identity, key = ids[timeline], keys.head(ids[timeline])
            change.deletes.update(keys.timeline(identity, place.rank) for place in places)
            head = Head.of(rows.needed(heads, key))
            if any(place.rank == head.rank for place in places):
                change.expected[key] = heads[key]
                change.deletes.update(places[0].head_keys(head))
                now = self._next_head(change, view, identity, {place.rank for place in places})
                if now is None:
                    change.deletes.add(key)
                else:
                    change.puts.update(dict.fromkeys(places[0].head_keys(now), b""))
                    change.puts[key] = now.pack()

    def _next_head(self, change: Change[int], view: View, timeline_id: bytes, doomed: Collection[bytes]) -> Head | None:
        """The newest reference of a timeline but for some. Its row changes: who forgets it meanwhile looks again."""
        prefix = keys.timeline(timeline_id)
        for key, _value in view.scan(prefix, prefix + keys.END, reverse=True, limit=len(doomed) + 1):
            rank = key[len(prefix) :]
            if rank not in doomed:
                name = keys.reference(rank)
                row = change.expected[name] = view.get([name])[name]
                change.puts[name] = rows.stamped(row)
                return Head(rank, rows.to_stored(rank, row).metadata_id, os.urandom(rows.STAMP_BYTES))
        return None

    def _release(self, change: Change[int], view: View, placed: list[tuple[Match, Place]]) -> None:
        """Delete the shared rows that nothing relies on any more, or mark them first."""
        sets = {place.metadata_id: match.reference.metadata for match, place in placed}
        candidates = [
            *shared.of_signatures({match.reference.signature for match, _place in placed}),
            *map(shared.of_metadata, sets),
        ]
        read = view.get([one.key for one in candidates]) if candidates else {}
        orphans, losing = _sorted_out(view, candidates, change.deletes)
        kept = {key: rows.needed(read, key) for key in losing}
        read = {key: rows.needed(read, key) for key in orphans}
        unmarked = {key: row for key, row in read.items() if self._marked.get(key) != row}
        if unmarked:
            self._marked |= {key: shared.marked(row) for key, row in unmarked.items()}
            change.expected = dict(unmarked)
            change.puts = {key: self._marked[key] for key in unmarked}
            change.deletes = set()
            change.is_step = True
            return
        change.expected.update(read | kept)
        change.deletes.update(read)
        change.puts.update({key: shared.changed(row) for key, row in kept.items()})
        for metadata_id, metadata in sets.items():
            first = read.get(keys.metadata(metadata_id, 0))
            if first is not None:
                change.deletes.update(keys.pair(*pair, metadata_id) for pair in metadata.items())
                count = rows.parts_of_metadata(first)
                change.deletes.update(keys.metadata(metadata_id, number) for number in range(count))


def _sorted_out(
    view: View, candidates: Iterable[Shared], deletes: Collection[bytes]
) -> tuple[list[bytes], list[bytes]]:
    """The keys of shared rows on which only rows rely that are deleted, and of others that lose some of those."""
    gone: set[bytes] = set(deletes)
    orphans: list[bytes] = []
    losing: list[bytes] = []
    for one in candidates:
        start, end = one.relied_on_by, one.relied_on_by + keys.END
        size = 2
        is_left = False
        while not is_left:
            users = view.scan(start, end, limit=size)
            is_left = any(key not in gone for key, _value in users)
            if len(users) < size:
                break
            start, size = users[-1][0] + b"\0", 4 * size
        if not is_left:
            gone.add(one.key)
            orphans.append(one.key)
        elif not one.is_way or any(key.startswith(one.relied_on_by) for key in orphans):
            losing.append(one.key)
    return orphans, losing
