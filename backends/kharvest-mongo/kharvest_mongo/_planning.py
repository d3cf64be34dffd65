"""What a group of records changes: decided here, on what was looked up, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pymongo.collection import Collection as Documents

from kharvest.spi import Conflict, Content, InvalidValue, KharvestError, Reference, Signature, UnknownContent
from kharvest.spi.recording import after_newest, require_known
from kharvest_mongo import _keys as keys
from kharvest_mongo import _lookups as lookups
from kharvest_mongo import _rows as rows
from kharvest_mongo._lookups import Place
from kharvest_mongo._rows import POSITION, NewRow, Position
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

_STEPS_BACK = 4
_START = b""
"""Comes before every order: nothing is before the first reference of a timeline."""

Present = Callable[[Collection[bytes]], Mapping[bytes, Content]]


@dataclass(frozen=True, slots=True)
class Record:
    """What one call of `record` was given, or of `append`: then its references are to be the newest."""

    files: Mapping[Signature, Content]
    references: Sequence[Reference]
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write.

    Attributes:
        refused: the errors of the records that are refused, by their numbers.
        accepted: the references of the others, at the times at which they are recorded, by their numbers.
        rows: the references to store.
        signatures: the signatures to store.
        followers: which stored reference, by its `_id`, has which order behind it now.
        outdated: the `_id`s of references that were the newest of their timelines until long ago.
    """

    refused: dict[int, KharvestError] = field(default_factory=dict)
    accepted: dict[int, list[Reference]] = field(default_factory=dict)
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
        newest, outdated = self._newest(snapshot, (one for record in records for one in record.references))
        refused, accepted, new = self._accept(snapshot, records, newest)
        placed: list[NewRow] = []
        followers: set[tuple[bytes, bytes]] = set()
        for stored, added in self._find(snapshot, (one for some in accepted.values() for one in some), newest):
            _place(stored, added, placed, followers)
        named = {row.reference.signature for row in placed}
        return Plan(
            refused,
            accepted,
            tuple(placed),
            tuple((signature, content) for signature, content in new.items() if signature in named),
            frozenset(followers),
            frozenset(outdated),
        )

    def _newest(self, snapshot: Snapshot, references: Iterable[Reference]) -> tuple[dict[bytes, Position], set[bytes]]:
        """The newest of the references' timelines, by key, and the `_id`s of those that were so until long ago."""
        timelines = {keys.of_timeline(one.timeline) for one in references}
        newest: dict[bytes, Position] = {}
        outdated: set[bytes] = set()
        for document in lookups.newest(self._references, timelines, POSITION):
            one = rows.position(document)
            follower = one.next(snapshot)
            if follower is not None and snapshot.is_final(follower[1]):
                outdated.add(one.id)
            if one.is_visible(snapshot):
                timeline = document["newest_of"]
                newest[timeline] = max(newest.get(timeline, one), one, key=lambda position: position.order)
        return newest, outdated

    def _accept(
        self, snapshot: Snapshot, records: Sequence[Record], newest: Mapping[bytes, Position]
    ) -> tuple[dict[int, KharvestError], dict[int, list[Reference]], dict[Signature, Content]]:
        """Which records are refused; the references of the others, and their signatures that are new."""
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
        last = {timeline: keys.time_of(one.order) for timeline, one in newest.items()}
        refused: dict[int, KharvestError] = {}
        accepted: dict[int, list[Reference]] = {}
        new: dict[Signature, Content] = {}
        for number, one in enumerate(records):
            try:
                _check(one, known, missing)
                references, times = _timed(one, last)
            except (Conflict, InvalidValue, UnknownContent) as error:
                refused[number] = error
                continue
            for reference in references:
                signature = reference.signature
                if signature not in known and not signature.is_removal:
                    known[signature] = new[signature] = one.files[signature]
            accepted[number] = references
            last |= times
        return refused, accepted, new

    def _find(
        self, snapshot: Snapshot, references: Iterable[Reference], newest: Mapping[bytes, Position]
    ) -> list[tuple[list[Position], list[NewRow]]]:
        """For each timeline, the stored references beside the new ones, and the new ones."""
        added: dict[bytes, dict[bytes, Reference]] = {}
        for reference in references:
            added.setdefault(keys.of_timeline(reference.timeline), {})[keys.order_of(reference)] = reference
        late = [
            (timeline, order)
            for timeline, orders in added.items()
            if timeline in newest
            for order in orders
            if order <= newest[timeline].order
        ]
        stored: dict[bytes, dict[bytes, Position]] = {
            timeline: {newest[timeline].order: newest[timeline]} for timeline in added if timeline in newest
        }
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
        ]

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


def _check(record: Record, known: Mapping[Signature, Content], missing: set[bytes]) -> None:
    lacking = frozenset(content.sha256 for content in record.files.values()) & missing
    if lacking:
        raise UnknownContent(lacking)
    require_known(record.files, record.references, known)


def _timed(record: Record, newest: Mapping[bytes, int]) -> tuple[list[Reference], dict[bytes, int]]:
    """A record's references at the times at which they are recorded, and the newest times of their timelines then."""
    timelines = [keys.of_timeline(one.timeline) for one in record.references]
    references = after_newest(record.references, timelines, newest) if record.appends else list(record.references)
    times: dict[bytes, int] = {}
    for timeline, one in zip(timelines, references, strict=True):
        times[timeline] = max(one.observed_at_ns, times.get(timeline, newest.get(timeline, 0)))
    return references, times
