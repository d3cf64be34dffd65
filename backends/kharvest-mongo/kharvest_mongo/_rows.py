"""What the documents of references and signatures hold.

A document is written once. What changes later is added: which references came next in its timeline (`followers`), and
which batch removed it (`removed_by`); and the keys of what is the newest of its timeline no longer are taken away when
nobody can need them any more. What changes otherwise is removed, and written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from kharvest.spi import Content, Metadata, Pod, Reference, Signature
from kharvest_mongo import _keys as keys
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

_BATCH_BYTES = 8
_NUMBER_BYTES = 4

Follower: TypeAlias = tuple[bytes, int]
"""The order of a reference that came next in the timeline at some time, and the batch that wrote it."""
POSITION = {"order": 1, "batch": 1, "removed_by": 1, "followers": 1, "newest_of": 1}
"""The fields of a Position."""


def id_in_batch(batch: int, number: int) -> bytes:
    """The `_id` of a document that a batch writes."""
    return batch.to_bytes(_BATCH_BYTES, "big") + number.to_bytes(_NUMBER_BYTES, "big")


def ids_of_batch(batch: int) -> tuple[bytes, bytes]:
    """The first and last `_id` that documents of a batch can have."""
    return id_in_batch(batch, 0), id_in_batch(batch, 2 ** (8 * _NUMBER_BYTES) - 1)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A document, the batch that wrote it, and those that removed it."""

    id: bytes
    batch: int
    removed_by: tuple[int, ...]

    def is_visible(self, snapshot: Snapshot) -> bool:
        return snapshot.sees(self.batch) and not any(map(snapshot.sees, self.removed_by))


@dataclass(frozen=True, slots=True)
class Position(_Stored):
    """A stored reference, as far as its place in its timeline goes."""

    order: bytes
    followers: tuple[Follower, ...]

    def next(self, snapshot: Snapshot) -> Follower | None:
        """The reference that comes next in its timeline; None if it is the newest."""
        return min((one for one in self.followers if snapshot.sees(one[1])), default=None)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A reference to be stored.

    Attributes:
        follower: the order of the next one of its timeline; None if it is the newest.
    """

    order: bytes
    reference: Reference
    follower: bytes | None


@dataclass(frozen=True, slots=True)
class StoredSignature(_Stored):
    """A signature that references name, and its content."""

    signature: Signature
    content: Content


def position(document: Document) -> Position:
    return Position(
        document["_id"],
        document["batch"],
        tuple(document.get("removed_by", ())),
        document["order"],
        tuple((one["order"], one["batch"]) for one in document.get("followers", ())),
    )


def reference(document: Document) -> Reference:
    pairs = document["metadata"]
    return Reference(
        Signature(document["path"], document["md5"]),
        Pod(document["namespace"], document["pod"], document["uid"]),
        Metadata(dict(zip(pairs[::2], pairs[1::2], strict=True))),
        keys.time_of(document["order"]),
    )


def reference_document(row: NewRow, batch: int, number: int) -> Document:
    """The document of a reference that a batch writes."""
    one = row.reference
    timeline = keys.of_timeline(one.timeline)
    ways = keys.of_query_ways(one)
    document: Document = {
        "_id": id_in_batch(batch, number),
        "batch": batch,
        "order": row.order,
        "namespace": one.pod.namespace,
        "pod": one.pod.name,
        "uid": one.pod.uid,
        "path": one.signature.path,
        "md5": one.signature.md5,
        # A list: names of fields may not hold what keys of metadata may.
        "metadata": [part for pair in one.metadata.items() for part in pair],
        "keys": [timeline, *ways],
    }
    if row.follower is None:
        document["newest_of"] = timeline
        document["newest_keys"] = [keys.CURRENT, *ways]
    else:
        document["followers"] = [{"order": row.follower, "batch": batch}]
    return document


def signature_document(signature: Signature, content: Content, batch: int, number: int) -> Document:
    """The document of a signature that a batch writes."""
    return {
        "_id": id_in_batch(batch, number),
        "batch": batch,
        "name": keys.name_of(signature),
        "key": keys.of_signature(signature),
        "path": signature.path,
        "md5": signature.md5,
        "sha256": content.sha256,
        "content_md5": content.md5,
        "size": content.size,
    }


def stored_signature(document: Document) -> StoredSignature:
    return StoredSignature(
        document["_id"],
        document["batch"],
        tuple(document.get("removed_by", ())),
        Signature(document["path"], document["md5"]),
        Content(document["sha256"], document["content_md5"], document["size"]),
    )
