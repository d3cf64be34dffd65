"""Pages of file summaries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pymongo.collection import Collection as Documents

from kharvest.spi import (
    REMOVED,
    FileSummary,
    InvalidCursor,
    InvalidValue,
    Page,
    Query,
    Signature,
    decode_cursor,
    encode_cursor,
)
from kharvest_mongo import _filters as filters
from kharvest_mongo import _keys as keys
from kharvest_mongo import _lookups as lookups
from kharvest_mongo import _pages as pages
from kharvest_mongo import _rows as rows
from kharvest_mongo._rows import StoredSignature
from kharvest_mongo._schema import IN_AT_ONCE
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

_FILES_AT_ONCE = IN_AT_ONCE
"""Files whose references are counted for one page, at most."""
_FILES_OF_PODS_AT_ONCE = 1000
_BEHIND_NUL = "\x01"


def page(
    references: Documents[Document], signatures: Documents[Document], snapshot: Snapshot, query: Query
) -> Page[FileSummary]:
    after = _place(query)
    find = _of_pods if query.pod is not None else _of_files
    items, end = find(references, signatures, snapshot, query, after)
    return Page(tuple(items), None if end is None else encode_cursor(query, end.path, end.md5.hex()))


def _of_files(
    references: Documents[Document],
    signatures: Documents[Document],
    snapshot: Snapshot,
    query: Query,
    after: Signature | None,
) -> tuple[list[FileSummary], Signature | None]:
    """Summaries of the next files, whoever has them."""
    limit = min(query.limit, _FILES_AT_ONCE)
    found = [
        rows.stored_signature(document)
        for document in signatures.aggregate(
            [
                {"$match": _names(query, after)},
                {"$match": snapshot.visible()},
                {"$sort": {"name": 1}},
                {"$limit": limit + 1},
            ]
        )
    ]
    files = {one.signature: one for one in found[:limit]}
    way = filters.way(snapshot, query)
    field = way.field or "keys"
    within = {field: {"$in": [keys.of_signature(signature) for signature in files]}}
    others = way.others
    if way.field:
        others = {**others, field: {"$all": [way.key, *others.get(field, {}).get("$all", ())]}}
    counts = _counts(references, snapshot, query, within, others) if files else ()
    items = [_summary(files, document) for document in counts if _signature(document) in files]
    return sorted(items, key=lambda one: one.signature), found[limit - 1].signature if len(found) > limit else None


def _of_pods(
    references: Documents[Document],
    signatures: Documents[Document],
    snapshot: Snapshot,
    query: Query,
    after: Signature | None,
) -> tuple[list[FileSummary], Signature | None]:
    """Summaries of what pods of one name have: counted from their references."""
    limit = min(query.limit, _FILES_OF_PODS_AT_ONCE)
    way = filters.way(snapshot, query)
    others: Document = {**way.others, "md5": {"$ne": REMOVED}}
    if after is not None:
        others["$or"] = [{"path": {"$gt": after.path}}, {"path": after.path, "md5": {"$gt": after.md5}}]
    counts = _counts(references, snapshot, query, {way.field: way.key}, others, limit + 1)
    files = lookups.signatures(signatures, snapshot, [_signature(document) for document in counts[:limit]])
    items = [_summary(files, document) for document in counts[:limit]]
    return items, _signature(counts[limit - 1]) if len(counts) > limit else None


def _counts(
    references: Documents[Document],
    snapshot: Snapshot,
    query: Query,
    within: Document,
    others: Document,
    limit: int | None = None,
) -> Sequence[Document]:
    """How many pods have each file, and the orders of its first and last reference."""
    window = pages.bounds(snapshot, query)
    file = {"path": "$path", "md5": "$md5"}
    pod = {"namespace": "$namespace", "pod": "$pod", "uid": "$uid"}
    pipeline: list[Document] = [
        {"$match": within | {"order": {"$gte": window.low, "$lt": window.high}}},
        {"$match": others},
        {"$group": {"_id": file | pod, "first": {"$min": "$order"}, "last": {"$max": "$order"}}},
        {
            "$group": {
                "_id": {"path": "$_id.path", "md5": "$_id.md5"},
                "pods": {"$sum": 1},
                "first": {"$min": "$first"},
                "last": {"$max": "$last"},
            }
        },
    ]
    if limit is not None:
        pipeline += [{"$sort": {"_id.path": 1, "_id.md5": 1}}, {"$limit": limit}]
    return list(references.aggregate(pipeline))


def _names(query: Query, after: Signature | None) -> Document:
    """What the names of the files satisfy that come next."""
    found: Document = {}
    name: Document = {}
    if query.path is not None:
        name = {"$gte": f"{query.path}\0", "$lt": f"{query.path}{_BEHIND_NUL}"}
    elif query.path_prefix:
        name = filters.starting_with(query.path_prefix)
    if after is not None and name.get("$gte", "") <= keys.name_of(after):
        name = {key: value for key, value in name.items() if key != "$gte"} | {"$gt": keys.name_of(after)}
    if query.md5 is not None:
        found["md5"] = query.md5
    return found | {"name": name or {"$gte": ""}}


def _signature(document: Document) -> Signature:
    return Signature(document["_id"]["path"], document["_id"]["md5"])


def _summary(files: dict[Signature, StoredSignature], document: Document) -> FileSummary:
    signature = _signature(document)
    first_ns, last_ns = keys.time_of(document["first"]), keys.time_of(document["last"])
    return FileSummary(signature, files[signature].content, document["pods"], first_ns, last_ns)


def _place(query: Query) -> Signature | None:
    match decode_cursor(query):
        case None:
            return None
        case (str(path), str(md5)):
            with suppress(ValueError, InvalidValue):  # neither hexadecimal nor a path: not made here
                return Signature(path, bytes.fromhex(md5))
    raise InvalidCursor
