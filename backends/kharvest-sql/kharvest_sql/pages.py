"""Pages of references, in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kharvest.spi import InvalidCursor, Order, Page, Pod, Query, Reference, decode_cursor, encode_cursor
from kharvest_sql.database import Session
from kharvest_sql.filters import Condition, Plan, plan
from kharvest_sql.identities import Identities

_WALKED_AT_ONCE = 20_000
"""Rows of an index that one page looks at when it has to pass some over: some ten milliseconds."""
_COLUMNS = ("observed_at_ns", "pod_id", "path_id", "signature_id", "metadata_id")
_BIGGEST = 2**63 - 1

Position: TypeAlias = tuple[int, int, int, int, int]
"""A reference's place in the total order: its key."""


@dataclass(frozen=True, slots=True)
class _Direction:
    """The order in which a query goes through the history."""

    word: str
    beyond: str
    within: str
    last: int
    """A number behind all of one time, in the place of each of the key's others."""

    @property
    def order(self) -> str:
        return ", ".join(f"r.{column} {self.word}" for column in _COLUMNS)

    def after(self, position: Position) -> Condition:
        # The first half is for the index: not every database finds its start by a comparison of rows.
        columns = ", ".join(f"r.{column}" for column in _COLUMNS)
        marks = ", ".join("?" * len(_COLUMNS))
        return Condition(
            f"r.observed_at_ns {self.beyond}= ? AND ({columns}) {self.beyond} ({marks})", (position[0], *position)
        )

    def end_of(self, time_ns: int) -> Position:
        return (time_ns, self.last, self.last, self.last, self.last)


_DIRECTIONS = {
    Order.OLDEST_FIRST: _Direction("ASC", ">", "<=", _BIGGEST),
    Order.NEWEST_FIRST: _Direction("DESC", "<", ">=", -1),
}


def page(session: Session, identities: Identities, query: Query) -> Page[Reference]:
    """One page of references."""
    keys, following = positions(session, identities, query, position_of(query))
    cursor = None if following is None else encode_cursor(query, *following)
    return Page(tuple(_references(session, identities, keys)), cursor)


def positions(
    session: Session, identities: Identities, query: Query, after: Position | None
) -> tuple[list[Position], Position | None]:
    """The keys on the page behind `after`, and behind what the next page starts; None if there is nothing more."""
    how = plan(session, identities, query)
    if how is None:
        return [], None
    direction = _DIRECTIONS[query.order]
    bounds = [*how.times]
    if after is not None:
        bounds.append(direction.after(after))
    end_ns = _end_of_walk(session, how, bounds, direction) if how.others else None
    if end_ns is not None:
        bounds.append(Condition(f"r.observed_at_ns {direction.within} ?", (end_ns,)))
    columns = ", ".join(f"r.{column}" for column in _COLUMNS)
    rows = _union(session, how, columns, [*bounds, *how.others], f"ORDER BY {direction.order}", query.limit + 1)
    keys = [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
    if len(keys) > query.limit:
        return keys[:-1], keys[-2]
    return keys, None if end_ns is None else direction.end_of(end_ns)


def _end_of_walk(session: Session, how: Plan, bounds: Sequence[Condition], direction: _Direction) -> int | None:
    """The time up to which this page may look; None if that is all there is."""
    skip = _WALKED_AT_ONCE // max(1, len(how.way.values))
    order = f"ORDER BY r.observed_at_ns {direction.word}"
    rows = _union(session, how, "r.observed_at_ns", bounds, order, 1, skip)
    return rows[0][0] if rows else None


def _union(
    session: Session,
    how: Plan,
    columns: str,
    conditions: Iterable[Condition],
    order: str,
    limit: int,
    skip: int = 0,
) -> Sequence[Any]:
    """The first rows in an order, found in each of the plan's ways and merged."""
    checked = list(conditions)
    found = [Condition(f"r.{how.way.column} = ?", (value,)) for value in how.way.values] or [Condition("1 = 1")]
    parts = []
    parameters: list[Any] = []
    for way in found:
        where = " AND ".join(one.sql for one in (way, *checked))
        select = f"SELECT {columns} FROM {how.table} r WHERE {where} {order} LIMIT {limit}"  # noqa: S608
        parts.append(f"{select} OFFSET {skip}" if skip else select)
        parameters += (value for one in (way, *checked) for value in one.parameters)
    if len(parts) == 1:
        return session.all(parts[0], parameters)
    union = " UNION ALL ".join(f"SELECT * FROM ({part}) AS way" for part in parts)  # noqa: S608
    return session.all(f"SELECT * FROM ({union}) AS r {order} LIMIT {limit}", parameters)  # noqa: S608


def _references(session: Session, identities: Identities, keys: Sequence[Position]) -> list[Reference]:
    """The references with these keys, in their order."""
    sets = identities.metadata_by_id({key[4] for key in keys})
    rows = session.with_rows(
        "SELECT o.id, o.namespace, o.name FROM {rows} {then} kharvest_pod o WHERE o.id = given.id",
        "id",
        [(number,) for number in {key[1] for key in keys}],
    )
    pods = {row[0]: Pod(row[1].decode(), row[2].decode()) for row in rows}
    signatures = identities.signatures_by_id({key[3] for key in keys})
    return [Reference(signatures[key[3]], pods[key[1]], sets[key[4]], key[0]) for key in keys]


def position_of(query: Query) -> Position | None:
    """Where the query's cursor stands."""
    match decode_cursor(query):
        case None:
            return None
        case (int(time_ns), int(pod_id), int(path_id), int(signature_id), int(metadata_id)):
            return time_ns, pod_id, path_id, signature_id, metadata_id
        case _:
            raise InvalidCursor
