"""What a query asks for: by which key its references are found, and what else they must satisfy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kharvest.spi import Query, Signature
from kharvest_mongo import _keys as keys
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

_LAST_BEFORE_SURROGATES = 0xD7FF
_FIRST_BEHIND_SURROGATES = 0xE000
_LAST = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Way:
    """How a query's references are found.

    Attributes:
        field: the field that is indexed together with the order; empty for all references.
        key: what that field has.
        others: what is checked document by document, besides being visible.
        passes_over: whether `others` leave out more than what is not visible, which is next to nothing.
    """

    field: str
    key: bytes
    others: Document
    passes_over: bool

    def within(self, low: bytes, high: bytes) -> Document:
        """What the index serves: orders from `low` on, before `high`."""
        found: Document = {self.field: self.key} if self.field else {}
        return found | {"order": {"$gte": low, "$lt": high}}


def way(snapshot: Snapshot, query: Query) -> Way:
    asked = list(_keys(query))
    others: Document = snapshot.visible()
    inexact = False
    if query.path_prefix:
        others["path"] = starting_with(query.path_prefix)
        inexact = True
    if query.uid is not None:
        others["uid"] = query.uid
        inexact = True
    of_newest = query.latest and query.until_ns is None
    if query.latest:
        others["followers"] = {"$not": {"$elemMatch": _follower(snapshot, query)}}
        inexact |= not of_newest
    field = "newest_keys" if of_newest else "keys"
    if of_newest and not asked:
        asked.append(keys.CURRENT)
    if len(asked) > 1:
        others[field] = {"$all": asked[1:]}
    if not asked:
        return Way("", b"", others, inexact)
    return Way(field, asked[0], others, inexact or len(asked) > 1)


def starting_with(prefix: str) -> Document:
    """What text satisfies that starts with `prefix`: MongoDB compares text by its UTF-8, which is by code point."""
    end = _end_of_prefix(prefix)
    return {"$gte": prefix} if end is None else {"$gte": prefix, "$lt": end}


def _end_of_prefix(prefix: str) -> str | None:
    """The first text behind all that starts with `prefix`; None if there is none."""
    start = prefix.rstrip(chr(_LAST))
    if not start:
        return None
    last = ord(start[-1])
    following = _FIRST_BEHIND_SURROGATES if last == _LAST_BEFORE_SURROGATES else last + 1
    return start[:-1] + chr(following)


def _follower(snapshot: Snapshot, query: Query) -> Document:
    """What a follower satisfies because of which a reference was not the newest at the time that is asked for."""
    follower: Document = {"batch": snapshot.batches()}
    if query.until_ns is not None:
        follower["order"] = {"$lt": keys.before_time(query.until_ns)}
    return follower


def _keys(query: Query) -> Iterator[bytes]:
    """The keys that a reference must have, the one that few have first, as far as one can guess."""
    if query.path and query.md5 is not None and query.path.startswith("/"):
        yield keys.of_signature(Signature(query.path, query.md5))
    elif query.path is not None:
        yield keys.of("path", query.path)
    if query.namespace is not None and query.pod is not None:
        yield keys.of("pod", query.namespace, query.pod)
    elif query.pod is not None:
        yield keys.of("name", query.pod)
    if query.md5 is not None and query.path is None:
        yield keys.of("md5", query.md5.hex())
    if query.path_prefix:
        yield from (keys.of("directory", one) for one in list(keys.directories(query.path_prefix))[-1:])
    for key, value in query.metadata.items():
        yield keys.of("pair", key, value)
    if query.namespace is not None and query.pod is None:
        yield keys.of("namespace", query.namespace)
