"""Summaries of files: by path and MD5, each from the references that match.

Where only paths, MD5 and times restrict, the signatures are walked in order, and the index of each has all that its
summary needs. Otherwise the matching references are gathered, if there are not too many. If there are, each signature
is asked for by a query of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from kharvest.records import _keys as keys
from kharvest.records import _querying as querying
from kharvest.records import _rows as rows
from kharvest.records import _signatures as signatures
from kharvest.records._engine import View
from kharvest.records._keys import Kind
from kharvest.records._metadata import MetadataSets
from kharvest.records._signatures import Found
from kharvest.spi import (
    FileSummary,
    InvalidCursor,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    StoreCorrupt,
    decode_cursor,
    encode_cursor,
)

_GATHERED = 10_000
"""So many references are gathered at most."""
_STEPS = 20_000
"""How far is looked for references to gather."""
_LOOKED_AT = 5_000
"""So many signatures, or blocks of rows, a page looks at."""
_BLOCK = 4096
_ALL = 2**62


@dataclass(slots=True)
class _Seen:
    """What was seen of a file."""

    pods: set[bytes]
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class _After:
    """Where a page starts: behind a file."""

    path: bytes
    md5: bytes


def page(view: View, query: Query, sets: MetadataSets) -> Page[FileSummary]:
    """See `ReferenceStore.files`."""
    after = _after_of_cursor(query)
    if not _is_of_files_only(query):
        matches = querying.search(view, _first(query), sets, wanted=_GATHERED, steps=_STEPS)
        if matches.next_at is None:
            return _gathered(view, query, after, [one.reference for one in matches.found])
    return _walked(view, query, after, sets)


def _is_of_files_only(query: Query) -> bool:
    names_no_pod = query.namespace is None and query.pod is None and query.uid is None
    return names_no_pod and not query.metadata and not query.latest


def _first(query: Query) -> Query:
    return replace(query, cursor=None, order=Order.OLDEST_FIRST)


def _gathered(view: View, query: Query, after: _After | None, references: list[Reference]) -> Page[FileSummary]:
    seen: dict[Signature, _Seen] = {}
    for reference in references:
        signature, at_ns = reference.signature, reference.observed_at_ns
        if not signature.is_removal and (
            after is None or (signature.path.encode(), signature.md5) > (after.path, after.md5)
        ):
            one = seen.setdefault(signature, _Seen(set(), at_ns, at_ns))
            one.pods.add(keys.pod_id(reference.pod))
            one.last_ns = at_ns
    chosen = sorted(seen)[: query.limit]
    found = view.get([signatures.key_of(one) for one in chosen])
    items = tuple(_summary(one, found[signatures.key_of(one)], seen[one]) for one in chosen)
    return Page(items, _cursor(query, chosen[-1]) if len(seen) > query.limit else None)


def _walked(view: View, query: Query, after: _After | None, sets: MetadataSets) -> Page[FileSummary]:
    items: list[FileSummary] = []
    looked_at = 0
    last: Signature | None = None
    for found in _from(view, query, after):
        if last is not None and looked_at >= _LOOKED_AT:
            return Page(tuple(items), _cursor(query, last))
        signature = found.signature
        looked_at += 1
        if not signature.is_removal and (query.md5 is None or signature.md5 == query.md5):
            seen, cost = _seen(view, query, signature, sets)
            looked_at += cost
            if seen is not None:
                if len(items) == query.limit:
                    return Page(tuple(items), _cursor(query, items[-1].signature))
                items.append(_summary(signature, found.row, seen))
        last = signature
    return Page(tuple(items), None)


def _from(view: View, query: Query, after: _After | None) -> Iterator[Found]:
    """The signatures that the query's path allows."""
    prefix = (query.path if query.path is not None else query.path_prefix or "").encode()
    if after is None or after.path < prefix:
        walk = signatures.walk(view, prefix)
    else:
        walk = signatures.walk(view, after.path, after.md5)
    for found in walk:
        if not found.path.startswith(prefix) or (query.path is not None and found.path != prefix):
            return
        yield found


def _seen(view: View, query: Query, signature: Signature, sets: MetadataSets) -> tuple[_Seen | None, int]:
    """What matching references say of a file, and how much was looked at."""
    if not _is_of_files_only(query):
        asked = replace(_first(query), path=signature.path, path_prefix=None, md5=signature.md5)
        found = [one.reference for one in querying.search(view, asked, sets, wanted=_ALL, steps=_ALL).found]
        if not found:
            return None, 1
        pods = {keys.pod_id(one.pod) for one in found}
        return _Seen(pods, found[0].observed_at_ns, found[-1].observed_at_ns), 1 + len(found) // _BLOCK
    prefix = keys.history(Kind.SIGNATURE, keys.signature_id(signature))
    start = prefix + keys.start_of(query.since_ns or 0)
    end = prefix + (keys.END if query.until_ns is None else keys.start_of(query.until_ns))
    seen: _Seen | None = None
    cost = 0
    size = 64
    while True:
        some = view.scan(start, end, limit=size)
        if some:
            if seen is None:
                seen = _Seen(set(), keys.time_of(some[0][0][len(prefix) :]), 0)
            seen.pods.update([pod for _key, pod in some])
            seen.last_ns = keys.time_of(some[-1][0][len(prefix) :])
        if len(some) < size:
            return seen, cost
        start, size, cost = some[-1][0] + b"\0", _BLOCK, cost + 1


def _summary(signature: Signature, row: bytes, seen: _Seen) -> FileSummary:
    content = rows.to_content(row)
    if content is None:  # only a removal has none, and of removals there is no summary
        raise StoreCorrupt(f"the row of {signature} lacks its content")
    return FileSummary(signature, content, len(seen.pods), seen.first_ns, seen.last_ns)


def _cursor(query: Query, last: Signature) -> str:
    return encode_cursor(query, last.path, last.md5.hex())


def _after_of_cursor(query: Query) -> _After | None:
    match decode_cursor(query):
        case None:
            return None
        case (str(path), str(md5)):
            with suppress(ValueError):
                return _After(path.encode(), bytes.fromhex(md5))
    raise InvalidCursor
