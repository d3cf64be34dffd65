"""Pages of file summaries, in the order of path and MD5."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kharvest.spi import Content, FileSummary, InvalidCursor, Page, Query, Signature, decode_cursor, encode_cursor
from kharvest_sql._database import Session
from kharvest_sql._filters import (
    MOST_WALKED,
    Condition,
    Plan,
    all_of,
    of_pods,
    parameters_of,
    plan,
    prefix_condition,
    times,
)
from kharvest_sql._identities import Identities, digest_of_path
from kharvest_sql._schema import HEAD_BYTES

_COUNTS = "COUNT(DISTINCT r.pod_id), MIN(r.observed_at_ns), MAX(r.observed_at_ns)"
_FILE = "s.id, p.path, s.md5, s.sha256, s.content_md5, s.size"
_BEHIND_ALL = b"\xff"
"""Greater than any path: UTF-8 has no byte 255."""


class _Place(NamedTuple):
    """Where a page ends: behind a path's MD5, among the paths that share a head."""

    head: bytes
    path: bytes
    md5: bytes


def page(session: Session, identities: Identities, query: Query) -> Page[FileSummary]:
    after = _place(query)
    how = plan(session, identities, query)
    if how is None:
        return Page((), None)
    if how.way.column in {"pod_id", "metadata_id"} and len(how.way.values) <= MOST_WALKED:
        items, end = _of_few(session, how, query, after)
    else:
        items, end = _of_files(session, query, after)
    return Page(tuple(items), None if end is None else encode_cursor(query, *(part.hex() for part in end)))


def _of_few(session: Session, how: Plan, query: Query, after: _Place | None) -> tuple[list[FileSummary], _Place | None]:
    """Summaries of what few pods, or pods with few sets of metadata, have: counted from their references."""
    way = Condition(f"r.{how.way.column} IN ({', '.join('?' * len(how.way.values))})", how.way.values)
    inner = [way, *how.times, *how.others]
    outer = [Condition("s.sha256 IS NOT NULL"), *_behind(after)]
    sql = (
        f"SELECT {_FILE}, c.pods, c.first_ns, c.last_ns FROM ("  # noqa: S608
        f"SELECT r.signature_id, COUNT(DISTINCT r.pod_id) AS pods, MIN(r.observed_at_ns) AS first_ns, "
        f"MAX(r.observed_at_ns) AS last_ns FROM {how.table} r WHERE {all_of(inner)} GROUP BY r.signature_id"
        f") AS c {session.dialect.then} kharvest_signature s {session.dialect.then} kharvest_path p "
        f"WHERE s.id = c.signature_id AND p.id = s.path_id AND {all_of(outer)} "
        f"ORDER BY p.path, s.md5 LIMIT {query.limit + 1}"
    )
    rows = session.all(sql, [*parameters_of(inner), *parameters_of(outer)])
    items = [_summary(row, row[6:]) for row in rows[: query.limit]]
    return items, _place_of(rows[query.limit - 1]) if len(rows) > query.limit else None


def _of_files(session: Session, query: Query, after: _Place | None) -> tuple[list[FileSummary], _Place | None]:
    """Summaries of the next files, whoever has them: their references are counted file by file."""
    files, end = _files(session, query, after)
    counts = _counts(session, query, [row[0] for row in files])
    return [_summary(row, counts[row[0]]) for row in files if row[0] in counts], end


def _files(session: Session, query: Query, after: _Place | None) -> tuple[Sequence[Any], _Place | None]:
    wanted = [Condition("s.sha256 IS NOT NULL"), *_behind(after)]
    first, second = "kharvest_path p", "kharvest_signature s"
    end_head = None
    if query.path is not None:
        wanted.append(Condition("p.digest = ?", (digest_of_path(query.path),)))
    elif query.md5 is not None:
        first, second = second, first
    else:
        end_head = _end_head(session, query, after)
        if end_head is not None:
            wanted.append(Condition("p.head <= ?", (end_head,)))
    if query.path_prefix:
        wanted.append(prefix_condition(query.path_prefix))
    if query.md5 is not None:
        wanted.append(Condition("s.md5 = ?", (query.md5,)))
    sql = (
        f"SELECT {_FILE} FROM {first} {session.dialect.then} {second} "  # noqa: S608
        f"WHERE s.path_id = p.id AND {all_of(wanted)} ORDER BY p.path, s.md5 LIMIT {query.limit + 1}"
    )
    rows = session.all(sql, parameters_of(wanted))
    if len(rows) > query.limit:
        return rows[: query.limit], _place_of(rows[query.limit - 1])
    return rows, None if end_head is None else _Place(end_head, _BEHIND_ALL, b"")


def _end_head(session: Session, query: Query, after: _Place | None) -> bytes | None:
    """The head of the path up to which this page may look, so that it sorts no more than it needs; None: all."""
    place = after or _Place(b"", b"", b"")
    # Paths may share a head: those of the last page's are done only when it ended behind all of them.
    wanted = [Condition(f"p.head {'>' if place.path == _BEHIND_ALL else '>='} ?", (place.head,))]
    if query.path_prefix:
        wanted.append(prefix_condition(query.path_prefix))
    sql = f"SELECT p.head FROM kharvest_path p WHERE {all_of(wanted)} ORDER BY p.head LIMIT 1 OFFSET {query.limit}"  # noqa: S608
    row = session.first(sql, parameters_of(wanted))
    return None if row is None else bytes(row[0])


def _counts(session: Session, query: Query, signature_ids: Sequence[int]) -> dict[int, Sequence[Any]]:
    wanted = [*times(query), *of_pods(query)]
    matching = " AND ".join(("", *(one.sql for one in wanted)))
    if query.latest and query.until_ns is None:
        source = "kharvest_signature s {then} kharvest_newest r WHERE s.id = given.id AND r.path_id = s.path_id AND"
    else:
        source = "kharvest_reference r WHERE"
    rows = session.with_rows(
        f"SELECT r.signature_id, {_COUNTS} FROM {{rows}} {{then}} {source} r.signature_id = given.id{matching} "  # noqa: S608
        "GROUP BY r.signature_id",
        "id",
        [(number,) for number in signature_ids],
        parameters_of(wanted),
    )
    return {row[0]: row[1:] for row in rows}


def _behind(after: _Place | None) -> list[Condition]:
    if after is None:
        return []
    behind = "p.head >= ? AND (p.head > ? OR p.path > ? OR (p.path = ? AND s.md5 > ?))"
    return [Condition(behind, (after.head, after.head, after.path, after.path, after.md5))]


def _summary(file: Sequence[Any], counts: Sequence[Any]) -> FileSummary:
    _id, path, md5, sha256, content_md5, size = file[:6]
    pods, first_ns, last_ns = counts
    return FileSummary(Signature(path.decode(), md5), Content(sha256, content_md5, size), pods, first_ns, last_ns)


def _place_of(file: Sequence[Any]) -> _Place:
    return _Place(file[1][:HEAD_BYTES], file[1], file[2])


def _place(query: Query) -> _Place | None:
    match decode_cursor(query):
        case None:
            return None
        case (str(head), str(path), str(md5)):
            with suppress(ValueError):  # not hexadecimal: not made here
                return _Place(bytes.fromhex(head), bytes.fromhex(path), bytes.fromhex(md5))
    raise InvalidCursor
