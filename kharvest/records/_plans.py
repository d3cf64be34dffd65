"""Which indexes a query is answered from.

Each restriction that an index serves gives a stream of ranks, and a match is in all of them. The streams are followed
by leaps, so the rarest restriction decides what a page costs, and nothing has to count how rare it is.

A prefix of paths stands for several paths, a pair of metadata for several sets, and a path in a pod for the timelines
of all pods that had this name. Their streams are united if they are FEW. If they are many, a page is first looked for
without them, among the references themselves: what so many paths or sets have is mostly met soon.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records import _signatures as signatures
from kharvest.records._engine import View
from kharvest.records._keys import Kind
from kharvest.records._streams import Common, Index, Listed, Meeting, Span, Stream, Union
from kharvest.spi import NO_METADATA, Metadata, Query, Timeline

FEW = 128
"""So many streams are united at once."""
MOST = 10_000
"""So many streams are united when there was no other way to fill a page."""
MOST_REPLACED = 1_000
"""Of so many timelines is looked up what they held at a time, before their newest references."""
_STEPS_FOR_EACH = 8
_BLOCK = 32
_UNITED_BLOCK = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """The streams that all matches are in. `is_wide`: a restriction that an index serves has too many values."""

    streams: Sequence[Stream]
    is_wide: bool


def plan(view: View, query: Query, span: Span, most: int = FEW) -> Plan:
    """The streams for a query."""
    if not query.latest or query.until_ns is None:
        return _plan(view, query, span, most, uses_heads=query.latest)
    replaced = _newest_before(view, query, query.until_ns)
    if replaced is None:
        return _plan(view, query, span, most, uses_heads=False)
    heads = _plan(view, query, span, most, uses_heads=True)
    listed = Listed(sorted(map(span.position, replaced)))
    return Plan([Union([Common(heads.streams), listed])], heads.is_wide)


def _newest_before(view: View, query: Query, until_ns: int) -> list[bytes] | None:
    """The ranks of references that were the newest of their timelines before a time, and are not any more.

    None if there may be more than MOST_REPLACED: if the time is long ago.
    """
    asked = replace(query, md5=None, metadata=NO_METADATA)
    later = Span(keys.start_of(until_ns), keys.NO_RANK, is_backward=False)
    meeting = Meeting(_plan(view, asked, later, FEW, uses_heads=True).streams, b"", MOST_REPLACED * _STEPS_FOR_EACH)
    heads = [keys.reference(rank) for rank in islice(meeting.positions(), MOST_REPLACED + 1)]
    if not meeting.is_at_end:
        return None
    found = []
    for key, row in view.get(heads).items():
        stored = rows.to_stored(key[-keys.RANK_BYTES :], row)
        timeline = keys.timeline(keys.timeline_id(Timeline(stored.pod, stored.signature.path)))
        start, end = timeline + keys.start_of(query.since_ns or 0), timeline + keys.start_of(until_ns)
        found += [one[-keys.RANK_BYTES :] for one, _value in view.scan(start, end, reverse=True, limit=1)]
    return found


def _plan(view: View, query: Query, span: Span, most: int, *, uses_heads: bool) -> Plan:
    timelines, is_wide = (None, False) if uses_heads else _timelines(view, query, most)
    chosen: list[tuple[bytes, Collection[bytes]]] = [
        (kind, (identity,))
        for kind, identity in _exact(query, uses_heads=uses_heads, in_timelines=timelines is not None)
    ]
    if query.path_prefix:
        paths = signatures.paths(view, query.path_prefix.encode())
        ids = [keys.digest_of_bytes(path) for path in islice(paths, most + 1)]
        is_wide |= len(ids) > most
        if len(ids) <= most:
            chosen.append((Kind.PATH, ids))
    if query.metadata:
        sets = _sets(view, query.metadata, most)
        is_wide |= sets is None
        if sets is not None:
            chosen.append((Kind.METADATA, sets))
    if uses_heads and not any(kind in keys.HEADS for kind, _ids in chosen):
        chosen.append((Kind.ALL, (b"",)))
    streams = [_stream(view, kind, ids, span, uses_heads=uses_heads) for kind, ids in chosen]
    if timelines is not None:
        streams.append(_united(view, [keys.timeline(one) for one in timelines], span))
    return Plan(streams or [Index(view, keys.history(Kind.ALL, b""), span, _BLOCK)], is_wide)


def _timelines(view: View, query: Query, most: int) -> tuple[list[bytes] | None, bool]:
    """The timelines of the path, in all pods of the name, that a query restricts to.

    None if it does not restrict to one path and name, or if there are more than `most`; whether there are more.
    """
    if query.path is None or query.namespace is None or query.pod is None:
        return None, False
    common = keys.timelines_id(query.namespace, query.pod, query.path)
    if query.uid is not None:
        return [common + keys.digest(query.uid)], False
    start, end = keys.timeline(common), keys.timeline(common) + keys.END * (keys.ID_BYTES + 1)
    found: list[bytes] = []
    while rows := view.scan(start, end, limit=1):
        if len(found) == most:
            return None, True
        key = rows[0][0]
        found.append(key[len(keys.timeline(b"")) : -keys.RANK_BYTES])
        start = keys.timeline(found[-1]) + keys.NO_RANK
    return found, False


def _exact(query: Query, *, uses_heads: bool, in_timelines: bool) -> Iterator[tuple[bytes, bytes]]:
    if query.namespace is not None and not in_timelines:
        yield Kind.NAMESPACE, keys.digest(query.namespace)
    if query.pod is not None and not in_timelines:
        yield Kind.POD_NAME, keys.digest(query.pod)
    if query.path is not None and query.md5 is not None:
        yield Kind.SIGNATURE, keys.digest_of_bytes(query.path.encode() + b"\0" + query.md5)
    elif query.md5 is not None:
        yield Kind.MD5, query.md5
    if query.path is not None and not in_timelines and (query.md5 is None or uses_heads):
        yield Kind.PATH, keys.digest(query.path)


def _stream(view: View, kind: bytes, ids: Collection[bytes], span: Span, *, uses_heads: bool) -> Stream:
    prefix = keys.heads if uses_heads and kind in keys.HEADS else keys.history
    return _united(view, [prefix(kind, one) for one in ids], span)


def _united(view: View, prefixes: Sequence[bytes], span: Span) -> Stream:
    if len(prefixes) == 1:
        return Index(view, prefixes[0], span, _BLOCK)
    return Union([Index(view, one, span, _UNITED_BLOCK) for one in prefixes])


def _sets(view: View, wanted: Metadata, most: int) -> list[bytes] | None:
    """The sets of metadata that have all these pairs; None if each pair is in more than `most` sets."""
    lists = {pair: _sets_with(view, *pair, most + 1) for pair in wanted.items()}
    rarest = min(lists, key=lambda pair: len(lists[pair]))
    found = lists[rarest]
    if len(found) > most:
        return None
    for pair in wanted.items():
        if pair != rarest and found:
            has_pair = {keys.pair(*pair, one): one for one in found}
            found = [has_pair[key] for key in view.get(has_pair)]
    return found


def _sets_with(view: View, key: str, value: str, limit: int) -> list[bytes]:
    prefix = keys.pair(key, value)
    return [row[0][len(prefix) :] for row in view.scan(prefix, prefix + keys.END * (keys.ID_BYTES + 1), limit=limit)]
