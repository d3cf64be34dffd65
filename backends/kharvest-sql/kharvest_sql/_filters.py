"""What a query asks for, in SQL: by which index its rows are found, and what else they must satisfy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kharvest.spi import Pod, Query, Signature
from kharvest_sql._database import Session
from kharvest_sql._identities import Identities, digest_of_pair
from kharvest_sql._schema import HEAD_BYTES, NEVER_REPLACED

MOST_WAYS = 900
"""As many pods, paths, signatures or sets of metadata are looked up one by one; with more, what is asked for is so
common that the history is walked in the order of time. (MariaDB takes a list of 1000 for a table, and is slow.)"""
MOST_WALKED = 128
"""The same, where what they lead to has to be checked row by row: each is given a part of what one page looks at."""
_MOST_CHECKED = 10_000
"""Sets of metadata that are checked for a second pair."""

_HISTORY = "kharvest_reference"
_NEWEST = "kharvest_newest"


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL with its parameters, checked row by row. `r` is the reference."""

    sql: str
    parameters: tuple[Any, ...] = ()


def all_of(conditions: Iterable[Condition]) -> str:
    """What satisfies all of the conditions, in SQL."""
    return " AND ".join(one.sql for one in conditions) or "1 = 1"


def parameters_of(conditions: Iterable[Condition]) -> list[Any]:
    """The parameters of conditions, in their order."""
    return [value for one in conditions for value in one.parameters]


@dataclass(frozen=True, slots=True)
class Way:
    """By which column's index a query's rows are found, and for which of its values; without a column, by time."""

    column: str = ""
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing that a query asks for.

    Attributes:
        way: how exactly the rows can be found that satisfy it; None if there are too many values.
        conditions: what a row that was found otherwise has to satisfy.
    """

    way: Way | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is answered.

    Attributes:
        table: the history, or the newest of each timeline.
        way: how its rows are found.
        times: conditions on the time, which every index serves.
        others: conditions for which rows have to be passed over.
        walk: the same by time, if the way has many values: what so many have is common, and may well be found sooner.
    """

    table: str
    way: Way
    times: tuple[Condition, ...]
    others: tuple[Condition, ...]
    walk: Plan | None = None

    @property
    def is_in_order(self) -> bool:
        """Whether an index has the rows of each of the values in the order of time. None has the newest of a pod."""
        return (self.table, self.way.column) != (_NEWEST, "pod_id")


def plan(session: Session, identities: Identities, query: Query) -> Plan | None:
    """How to answer a query; None if nothing can match."""
    filters = list(_filters(session, identities, query))
    ways = [one.way for one in filters if one.way is not None]
    if _of_newest(query):
        ways = [way for way in ways if _is_short(way)] or [_all_paths(session)]
    best = min(ways, key=lambda way: len(way.values), default=Way())
    if best.column and not best.values:
        return None
    others = _others(filters, best)
    if others and len(best.values) > MOST_WALKED:
        best = Way()
        others = _others(filters, best)
    newest = _of_newest(query) and bool(best.column)
    if query.latest and not newest:
        others.append(_latest(query))
    table = _NEWEST if newest else _HISTORY
    walk = None
    if not others and len(best.values) > MOST_WALKED:
        paths = _all_paths(session) if newest else Way()
        if len(paths.values) <= MOST_WALKED and bool(paths.values) == newest:
            walk = Plan(table, paths, times(query), tuple(_others(filters, paths)))
    return Plan(table, best, times(query), tuple(others), walk)


def _others(filters: Sequence[Filter], best: Way) -> list[Condition]:
    return [condition for one in filters if one.way != best for condition in one.conditions]


def _is_short(way: Way) -> bool:
    """Whether the newest references that a way leads to come in the order of time, or are few enough to be sorted."""
    return way.column != "pod_id" or len(way.values) <= MOST_WALKED


def _all_paths(session: Session) -> Way:
    return _few(session, "path_id", "kharvest_path", Condition("1 = 1")) or Way()


def times(query: Query) -> tuple[Condition, ...]:
    conditions = []
    if query.since_ns is not None:
        conditions.append(Condition("r.observed_at_ns >= ?", (query.since_ns,)))
    if query.until_ns is not None:
        conditions.append(Condition("r.observed_at_ns < ?", (query.until_ns,)))
    return tuple(conditions)


def of_pods(query: Query) -> tuple[Condition, ...]:
    """What a query asks of the pod, its metadata and `latest`, for rows of the history."""
    conditions = [*_pod_conditions(query), *_metadata_conditions(query)]
    if query.latest and query.until_ns is not None:
        conditions.append(_latest(query))
    return tuple(conditions)


def prefix_condition(prefix: str) -> Condition:
    """What a path `p` that starts with `prefix` satisfies: a range of the indexed head, then exactly."""
    start = prefix.encode()
    head = start[:HEAD_BYTES]
    # UTF-8 has no byte 255, so the last one can be counted up.
    end = head[:-1] + bytes([head[-1] + 1])
    if len(start) <= HEAD_BYTES:
        return Condition("p.head >= ? AND p.head < ?", (head, end))
    return Condition("p.head = ? AND substr(p.path, 1, ?) = ?", (head, len(start), start))


def _filters(session: Session, identities: Identities, query: Query) -> Iterator[Filter]:
    if _pod_columns(query):
        yield Filter(_pods(session, identities, query), _pod_conditions(query))
    if query.metadata:
        yield Filter(_sets(session, query), _metadata_conditions(query))
    if query.path and query.md5 is not None and not _of_newest(query):
        yield _file(identities, Signature(query.path, query.md5))
        return
    if query.path is not None:
        yield _path(session, identities, query, query.path)
    if query.path_prefix:
        yield _prefix(session, query, query.path_prefix)
    if query.md5 is not None:
        few = Condition("md5 = ?", (query.md5,))
        way = None if _of_newest(query) else _few(session, "signature_id", "kharvest_signature", few)
        sql = "(SELECT s.md5 FROM kharvest_signature s WHERE s.id = r.signature_id) = ?"
        yield Filter(way, (Condition(sql, (query.md5,)),))


def _of_newest(query: Query) -> bool:
    """Whether what is newest answers the query: it has an index by path, where the history has one by signature."""
    return query.latest and query.until_ns is None


def _file(identities: Identities, signature: Signature) -> Filter:
    numbers = tuple(row.id for row in identities.signatures([signature]).values())
    return Filter(Way("signature_id", numbers), tuple(Condition("r.signature_id = ?", (n,)) for n in numbers))


def _path(session: Session, identities: Identities, query: Query, path: str) -> Filter:
    numbers = tuple(identities.paths([path]).values())
    if not numbers:
        return Filter(Way("path_id"), ())
    way: Way | None = Way("path_id", numbers)
    if not _of_newest(query):
        way = _few(session, "signature_id", "kharvest_signature", Condition("path_id = ?", numbers))
    return Filter(way, (Condition("r.path_id = ?", numbers),))


def _prefix(session: Session, query: Query, prefix: str) -> Filter:
    starts = prefix_condition(prefix)
    if _of_newest(query):
        way = _few(session, "path_id", "kharvest_path p", starts)
    else:
        files = f"kharvest_path p {session.dialect.then} kharvest_signature s"
        where = Condition(f"s.path_id = p.id AND {starts.sql}", starts.parameters)
        way = _few(session, "signature_id", files, where, "s.id")
    sql = f"(SELECT 1 FROM kharvest_path p WHERE p.id = r.path_id AND {starts.sql}) = 1"  # noqa: S608  names from here
    return Filter(way, (Condition(sql, starts.parameters),))


def _pods(session: Session, identities: Identities, query: Query) -> Way | None:
    if query.namespace is not None and query.pod is not None and query.uid is not None:
        return Way("pod_id", tuple(identities.pods([Pod(query.namespace, query.pod, query.uid)]).values()))
    asked = _pod_columns(query)
    where = Condition(" AND ".join(f"{column} = ?" for column in asked), tuple(asked.values()))
    return _few(session, "pod_id", "kharvest_pod", where)


def _sets(session: Session, query: Query) -> Way | None:
    """The sets of metadata that have all pairs, looked for among those that have the rarest one."""
    digests = _pair_digests(query)
    if len(digests) > 1:
        digests = _rarest_first(session, digests)
        if not digests:
            return None
    has_others = "(SELECT 1 FROM kharvest_metadata_pair o WHERE o.digest = ? AND o.metadata_id = m.metadata_id) = 1"
    where = " AND ".join(("m.digest = ?", *(has_others for _ in digests[1:])))
    return _few(session, "metadata_id", "kharvest_metadata_pair m", Condition(where, tuple(digests)), "m.metadata_id")


def _rarest_first(session: Session, digests: Sequence[bytes]) -> list[bytes]:
    """The digests of pairs, that of which the fewest sets have first; nothing if even that is common."""
    some = f"(SELECT 1 FROM kharvest_metadata_pair WHERE digest = ? LIMIT {_MOST_CHECKED + 1})"  # noqa: S608
    counts = " UNION ALL ".join(f"SELECT {i}, COUNT(*) FROM {some} AS checked" for i in range(len(digests)))  # noqa: S608
    by_index = {row[0]: row[1] for row in session.all(counts, digests)}
    in_order = sorted(range(len(digests)), key=lambda index: by_index[index])
    return [digests[index] for index in in_order] if by_index[in_order[0]] <= _MOST_CHECKED else []


def _few(session: Session, column: str, table: str, condition: Condition, number: str = "id") -> Way | None:
    sql = f"SELECT {number} FROM {table} WHERE {condition.sql} LIMIT {MOST_WAYS + 1}"  # noqa: S608  names from here only
    return _way(column, session.all(sql, condition.parameters))


def _way(column: str, rows: Any) -> Way | None:
    return None if len(rows) > MOST_WAYS else Way(column, tuple(row[0] for row in rows))


# Look-ups by key for each row, rather than joins: no planner can turn them into a walk over all of another table.


def _pod_columns(query: Query) -> dict[str, bytes]:
    """What a query asks of a pod, by the columns of its table."""
    asked = {"namespace": query.namespace, "name": query.pod, "uid": query.uid}
    return {column: text.encode() for column, text in asked.items() if text is not None}


def _pod_conditions(query: Query) -> tuple[Condition, ...]:
    return tuple(
        Condition(f"(SELECT o.{column} FROM kharvest_pod o WHERE o.id = r.pod_id) = ?", (value,))  # noqa: S608  as above
        for column, value in _pod_columns(query).items()
    )


def _metadata_conditions(query: Query) -> tuple[Condition, ...]:
    has = "(SELECT 1 FROM kharvest_metadata_pair m WHERE m.digest = ? AND m.metadata_id = r.metadata_id) = 1"
    return tuple(Condition(has, (digest,)) for digest in _pair_digests(query))


def _pair_digests(query: Query) -> list[bytes]:
    return [digest_of_pair(key, value) for key, value in query.metadata.items()]


def _latest(query: Query) -> Condition:
    if query.until_ns is None:
        return Condition("r.replaced_at_ns = ?", (NEVER_REPLACED,))
    return Condition("r.replaced_at_ns >= ?", (query.until_ns,))
