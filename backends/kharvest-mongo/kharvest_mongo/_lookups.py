"""Looking up what a batch needs to know, so many things at once that a batch takes few round trips."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from pymongo.collection import Collection as Documents

from kharvest.spi import Signature
from kharvest_mongo import _keys as keys
from kharvest_mongo import _rows as rows
from kharvest_mongo._rows import POSITION, Position, StoredSignature
from kharvest_mongo._schema import ONE_REPLY, REFERENCES, cut
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

_QUESTIONS_AT_ONCE = 100
"""Questions of their own in one aggregation: MongoDB allows a thousand stages."""

Place: TypeAlias = tuple[bytes, bytes]
"""The key of a timeline, and an order in it."""


def newest(references: Documents[Document], timelines: Collection[bytes], fields: Document) -> list[Document]:
    """The documents of the newest references of timelines, and of those that were so lately."""
    wanted = {**fields, "newest_of": 1}
    return [
        document
        for some in cut(timelines)
        for document in references.find({"newest_of": {"$in": some}}, wanted, batch_size=ONE_REPLY)
    ]


def at(references: Documents[Document], snapshot: Snapshot, orders: Collection[bytes]) -> set[bytes]:
    """Those of the orders that a reference has."""
    found = (
        rows.position(document)
        for some in cut(orders)
        for document in references.find({"order": {"$in": some}}, POSITION, batch_size=ONE_REPLY)
    )
    return {one.order for one in found if one.is_visible(snapshot)}


def signatures(
    collection: Documents[Document], snapshot: Snapshot, wanted: Collection[Signature]
) -> dict[Signature, StoredSignature]:
    """Those of the signatures that references name."""
    names = {keys.name_of(signature) for signature in wanted}
    found = (
        rows.stored_signature(document)
        for some in cut(names)
        for document in collection.find({"name": {"$in": some}}, batch_size=ONE_REPLY)
    )
    return {one.signature: one for one in found if one.is_visible(snapshot)}


def followed_by(
    references: Documents[Document], snapshot: Snapshot, orders: Collection[bytes]
) -> dict[bytes, Position]:
    """The reference before each of those with these orders, in its timeline; none where it is the first."""
    found: dict[bytes, Position] = {}
    for some in cut(orders):
        for document in references.find({"followers.order": {"$in": some}}, POSITION, batch_size=ONE_REPLY):
            one = rows.position(document)
            follower = one.next(snapshot)
            if follower is not None and one.is_visible(snapshot):
                found[follower[0]] = one
    return found


def beside(
    references: Documents[Document], snapshot: Snapshot, places: Sequence[Place]
) -> list[tuple[bytes, Position]]:
    """The references before and behind places in timelines, with the timelines' keys; where a place has any."""
    questions: list[list[Document]] = [
        [
            {"$match": {"keys": timeline, "order": {side: order}}},
            {"$match": snapshot.visible()},
            {"$sort": {"order": direction}},
            {"$limit": 1},
            {"$project": POSITION},
            {"$addFields": {"timeline": timeline}},
        ]
        for timeline, order in places
        for side, direction in (("$lt", -1), ("$gt", 1))
    ]
    found: list[Document] = []
    for some in cut(questions, _QUESTIONS_AT_ONCE):
        unions = ({"$unionWith": {"coll": REFERENCES, "pipeline": one}} for one in some[1:])
        found += references.aggregate([*some[0], *unions], batchSize=ONE_REPLY)
    return [(document["timeline"], rows.position(document)) for document in found]
