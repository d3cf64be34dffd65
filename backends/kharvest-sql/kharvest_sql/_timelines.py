"""Adding references to their timelines, and mending timelines where some were added or taken out.

Two things are kept in step with the references: `replaced_at_ns`, the time of the next one of the timeline, and
`kharvest_newest`, the last one. A reference is, in here, the tuple of its key's numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby, pairwise, zip_longest
from operator import itemgetter
from typing import TypeAlias

from kharvest_sql._database import Session
from kharvest_sql._schema import NEVER_REPLACED, NEWEST, REFERENCE

Row: TypeAlias = tuple[int, int, int, int, int]
"""pod_id, path_id, observed_at_ns, signature_id, metadata_id: sorts by timeline, then in its order."""
TimelineId: TypeAlias = tuple[int, int]
"""pod_id, path_id."""
Moment: TypeAlias = tuple[int, int, int]
"""pod_id, path_id, observed_at_ns: where something changed."""
Neighbours: TypeAlias = tuple[int | None, int | None]
"""The times before and after a moment; None where there is none."""

_NEIGHBOUR = (
    "(SELECT r.observed_at_ns FROM kharvest_reference r WHERE r.pod_id = given.pod_id "
    "AND r.path_id = given.path_id AND r.observed_at_ns {side} given.at_ns "
    "ORDER BY r.observed_at_ns {order} LIMIT 1)"
)
KEY = "pod_id path_id observed_at_ns signature_id metadata_id"
"""The columns of a Row."""
_timeline_of = itemgetter(0, 1)


def add(session: Session, references: Iterable[Row], now: Mapping[TimelineId, Row]) -> None:
    """Add references to timelines of which these are the newest; those that are there already are passed over."""
    rows = sorted(set(references))
    written: list[tuple[int, ...]] = []
    heads: list[Row] = []
    late: list[Row] = []
    timeline: TimelineId | None = None
    head: Row | None = None
    for row, following in zip_longest(rows, rows[1:]):
        if row[:2] != timeline:
            timeline = row[:2]
            head = now.get(timeline)
            is_late = head is not None and row <= head
            if head is not None and not is_late:
                written.append((*head, row[2]))
        if is_late:
            if row != head:
                late.append(row)
        elif following is not None and following[:2] == timeline:
            written.append((*row, following[2]))
        else:
            written.append((*row, NEVER_REPLACED))
            heads.append(row)
    session.upsert(REFERENCE, KEY, "replaced_at_ns", written)
    _set_newest(session, heads)
    if late:
        session.insert(REFERENCE, KEY, "replaced_at_ns", [(*row, row[2]) for row in late])
        mend(session, around(session, {row[:3] for row in late}))


def newest(session: Session, timelines: Collection[TimelineId]) -> dict[TimelineId, Row]:
    """The newest reference of those timelines that have any."""
    rows = session.with_rows(
        "SELECT n.pod_id, n.path_id, n.observed_at_ns, n.signature_id, n.metadata_id "
        "FROM {rows} {then} kharvest_newest n WHERE n.pod_id = given.pod_id AND n.path_id = given.path_id",
        "pod_id path_id",
        timelines,
    )
    return {row[:2]: row for row in map(tuple, rows)}


def _set_newest(session: Session, rows: Sequence[Row]) -> None:
    session.upsert(NEWEST, "pod_id path_id", "observed_at_ns signature_id metadata_id", rows)


def mend(session: Session, changed: Mapping[Moment, Neighbours]) -> None:
    """Make timelines whole again, in which references of these times were added or taken out.

    Their neighbours are those that they had while all of them were there.
    """
    times = {
        (pod_id, path_id, time_ns)
        for (pod_id, path_id, at_ns), (before_ns, after_ns) in changed.items()
        for time_ns in (before_ns, at_ns, after_ns)
        if time_ns is not None
    }
    found = _at(session, times)
    by_timeline = {timeline: list(group) for timeline, group in groupby(sorted(found), _timeline_of)}
    written: dict[Row, int] = {}
    heads: list[Row] = []
    empty: list[TimelineId] = []
    for timeline, moments in groupby(sorted(changed), _timeline_of):
        rows = by_timeline.get(timeline, [])
        followers = dict(pairwise(rows))
        at_end = False
        # Rows before and at a moment are followed by the next one found: nothing lies between that was not found.
        decided = set()
        for moment in moments:
            before_ns, after_ns = changed[moment]
            decided |= {before_ns, moment[2]}
            at_end |= after_ns is None
        for row in rows:
            if row[2] in decided:
                written[row] = followers[row][2] if row in followers else NEVER_REPLACED
        if at_end and rows:
            heads.append(rows[-1])
        elif at_end:
            empty.append(timeline)
    changes = [(*row, time_ns) for row, time_ns in sorted(written.items()) if found[row] != time_ns]
    session.upsert(REFERENCE, KEY, "replaced_at_ns", changes)
    _set_newest(session, heads)
    session.delete(NEWEST, "pod_id path_id", empty)


def around(session: Session, moments: Collection[Moment]) -> Mapping[Moment, Neighbours]:
    """For each moment, the time before and the time after it at which its timeline has references."""
    before, after = _NEIGHBOUR.format(side="<", order="DESC"), _NEIGHBOUR.format(side=">", order="ASC")
    rows = session.with_rows(
        f"SELECT given.pod_id, given.path_id, given.at_ns, {before}, {after} FROM {{rows}}",  # noqa: S608
        "pod_id path_id at_ns",
        moments,
    )
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


def around_references(session: Session, moments: Collection[Moment]) -> Mapping[Moment, Neighbours]:
    """The same for moments at which there are references: these say what comes after them.

    To look for that takes as long as the pod has references to other paths in between. To be asked before references
    are taken out: afterwards a server has to pass over those that were, for each moment over all of them.
    """
    before = _NEIGHBOUR.format(side="<", order="DESC")
    after = (
        "(SELECT MAX(r.replaced_at_ns) FROM kharvest_reference r WHERE r.observed_at_ns = given.at_ns "
        "AND r.pod_id = given.pod_id AND r.path_id = given.path_id)"
    )
    last = (
        "(SELECT n.observed_at_ns FROM kharvest_newest n WHERE n.pod_id = given.pod_id AND n.path_id = given.path_id)"
    )
    rows = session.with_rows(
        f"SELECT given.pod_id, given.path_id, given.at_ns, {before}, {after}, {last} FROM {{rows}}",  # noqa: S608
        "pod_id path_id at_ns",
        moments,
    )
    # NEVER_REPLACED is also a time, the largest, at which the next one may be.
    return {(row[0], row[1], row[2]): (row[3], None if row[5] == row[2] else row[4]) for row in rows}


def _at(session: Session, moments: Collection[Moment]) -> dict[Row, int]:
    """The references at these moments, and their `replaced_at_ns`."""
    rows = session.with_rows(
        "SELECT r.pod_id, r.path_id, r.observed_at_ns, r.signature_id, r.metadata_id, r.replaced_at_ns "
        "FROM {rows} {then} kharvest_reference r WHERE r.observed_at_ns = given.at_ns "
        "AND r.pod_id = given.pod_id AND r.path_id = given.path_id",
        "pod_id path_id at_ns",
        moments,
    )
    return {(row[0], row[1], row[2], row[3], row[4]): row[5] for row in rows}
