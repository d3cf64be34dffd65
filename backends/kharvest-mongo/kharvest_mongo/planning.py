"""What a group of records changes: decided here, on what was looked up, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pymongo.collection import Collection as Documents

from kharvest.spi import Conflict, Content, Reference, Signature, StoreError, UnknownContent
from kharvest_mongo import keys, lookups, rows
from kharvest_mongo.batches import Snapshot
from kharvest_mongo.lookups import Place
from kharvest_mongo.rows import POSITION, NewRow, Position
from kharvest_mongo.server import Document

_STEPS_BACK = 4
_START = b""
"""Comes before every order: nothing is before the first reference of a timeline."""

Present = Callable[[Collection[bytes]], Mapping[bytes, Content]]


@dataclass(frozen=True, slots=True)
class Record:
    """What one call of `record` was given."""

    files: Mapping[Signature, Content]
    references: Sequence[Reference]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write.

    Attributes:
        refused: the errors of the records that are refused, by their numbers.
        rows: the references to store.
        signatures: the signatures to store.
        followers: which stored reference, by its `_id`, has which order behind it now.
        outdated: the `_id`s of references that were the newest of their timelines until long ago.
    """

    refused: dict[int, StoreError] = field(default_factory=dict)
    rows: tuple[NewRow, ...] = ()
    signatures: tuple[tuple[Signature, Content], ...] = ()
    followers: frozenset[tuple[bytes, bytes]] = frozenset()
    outdated: frozenset[bytes] = frozenset()

    def writes_as(self, other: Plan) -> bool:
        """Whether both store the same; what is outdated may differ."""
        return (self.rows, self.signatures, self.followers) == (other.rows, other.signatures, other.followers)


class Planner:
    """Makes plans on what two collections hold. `present` is the contents half's, if this store has one."""

    def __init__(
        self, references: Documents[Document], signatures: Documents[Document], present: Present | None
    ) -> None:
        self._references = references
        self._signatures = signatures
        self._present = present

    def plan(self, snapshot: Snapshot, records: Sequence[Record]) -> Plan:
        """What these records change, each behind those before it; one that is refused changes nothing."""
        refused, new, accepted = self._accept(snapshot, records)
        rows_by_timeline, outdated = self._find(snapshot, accepted)
        placed: list[NewRow] = []
        followers: set[tuple[bytes, bytes]] = set()
        for stored, added in rows_by_timeline:
            _place(stored, added, placed, followers)
        named = {row.reference.signature for row in placed}
        return Plan(
            refused,
            tuple(placed),
            tuple((signature, content) for signature, content in new.items() if signature in named),
            frozenset(followers),
            frozenset(outdated),
        )

    def _accept(
        self, snapshot: Snapshot, records: Sequence[Record]
    ) -> tuple[dict[int, StoreError], dict[Signature, Content], list[Reference]]:
        """Which records are refused; of the others, the signatures that are new, and the references."""
        contents = {content.sha256 for one in records for content in one.files.values()}
        missing = contents - self._present(contents).keys() if self._present is not None and contents else set()
        named = {
            signature
            for one in records
            for signature in (*one.files, *{reference.signature for reference in one.references})
            if not signature.is_removal
        }
        found = lookups.signatures(self._signatures, snapshot, named)
        known = {signature: stored.content for signature, stored in found.items()}
        refused: dict[int, StoreError] = {}
        new: dict[Signature, Content] = {}
        accepted: list[Reference] = []
        for number, one in enumerate(records):
            error = _refusal(one, known, missing)
            if error is not None:
                refused[number] = error
                continue
            for reference in one.references:
                signature = reference.signature
                if signature not in known and not signature.is_removal:
                    known[signature] = new[signature] = one.files[signature]
            accepted += one.references
        return refused, new, accepted

    def _find(
        self, snapshot: Snapshot, references: Iterable[Reference]
    ) -> tuple[list[tuple[list[Position], list[NewRow]]], set[bytes]]:
        """For each timeline, the stored references beside the new ones, and the new ones; and what is outdated."""
        added: dict[bytes, dict[bytes, Reference]] = {}
        for reference in references:
            added.setdefault(keys.of_timeline(reference.timeline), {})[keys.order_of(reference)] = reference
        newest: dict[bytes, Position] = {}
        outdated: set[bytes] = set()
        for document in lookups.newest(self._references, added, POSITION):
            one = rows.position(document)
            follower = one.next(snapshot)
            if follower is not None and snapshot.is_settled(follower[1]):
                outdated.add(one.id)
            if one.is_visible(snapshot):
                timeline = document["newest_of"]
                newest[timeline] = max(newest.get(timeline, one), one, key=lambda position: position.order)
        late = [
            (timeline, order)
            for timeline, orders in added.items()
            if timeline in newest
            for order in orders
            if order <= newest[timeline].order
        ]
        stored: dict[bytes, dict[bytes, Position]] = {timeline: {one.order: one} for timeline, one in newest.items()}
        if late:
            there = lookups.at(self._references, snapshot, {order for _timeline, order in late})
            for timeline, order in late:
                if order in there:
                    del added[timeline][order]
            self._find_beside(snapshot, [place for place in late if place[1] not in there], newest, stored)
        return [
            (list(stored.get(timeline, {}).values()), [NewRow(order, one, None) for order, one in orders.items()])
            for timeline, orders in added.items()
            if orders
        ], outdated

    def _find_beside(
        self,
        snapshot: Snapshot,
        late: Sequence[Place],
        newest: Mapping[bytes, Position],
        stored: dict[bytes, dict[bytes, Position]],
    ) -> None:
        """Add the references before and behind each of these places to what is known of their timelines.

        What is late is not so by much, as a rule: so this goes back from the newest some steps first.
        """
        front = {timeline: newest[timeline].order for timeline, _order in late}
        for _step in range(_STEPS_BACK):
            going = {timeline for timeline, order in late if order < front[timeline]}
            if not going:
                return
            found = lookups.followed_by(self._references, snapshot, {front[timeline] for timeline in going})
            for timeline in going:
                one = found.get(front[timeline])
                front[timeline] = one.order if one is not None else _START
                if one is not None:
                    stored[timeline][one.order] = one
        far = [(timeline, order) for timeline, order in late if order < front[timeline]]
        for timeline, one in lookups.beside(self._references, snapshot, far):
            stored[timeline][one.order] = one


def _place(
    stored: Sequence[Position],
    added: Sequence[NewRow],
    placed: list[NewRow],
    followers: set[tuple[bytes, bytes]],
) -> None:
    """Put new references into their timeline, between those of the stored ones that are beside them."""
    in_order: list[Position | NewRow] = sorted((*stored, *added), key=lambda one: one.order)
    behind = [one.order for one in in_order[1:]]
    for number, one in enumerate(in_order):
        follower = behind[number] if number < len(behind) else None
        if isinstance(one, NewRow):
            placed.append(NewRow(one.order, one.reference, follower))
        elif number + 1 < len(in_order) and isinstance(in_order[number + 1], NewRow):
            followers.add((one.id, in_order[number + 1].order))


def _refusal(record: Record, known: Mapping[Signature, Content], missing: set[bytes]) -> StoreError | None:
    lacking = frozenset(content.sha256 for content in record.files.values()) & missing
    if lacking:
        return UnknownContent(lacking)
    for signature, content in record.files.items():
        stored = known.get(signature)
        if stored is not None and stored != content:
            return Conflict(signature, stored, content)
    unknown = frozenset(
        reference.signature
        for reference in record.references
        if not reference.signature.is_removal
        and reference.signature not in known
        and reference.signature not in record.files
    )
    return UnknownContent(signatures=unknown) if unknown else None
