"""Removing references, and what nothing needs any more once they are gone."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import Query
from kharvest_sql import _pages as pages
from kharvest_sql import _timelines as timelines
from kharvest_sql._database import Session
from kharvest_sql._identities import Identities
from kharvest_sql._schema import METADATA, METADATA_PAIR, PATH, POD, REFERENCE, SIGNATURE
from kharvest_sql._walking import Position


def forget(session: Session, identities: Identities, query: Query) -> int:
    keys = _first(session, identities, query)
    if not keys:
        return 0
    # The order of a timeline's Row, which the order of a page's Position is not.
    rows = [(pod_id, path_id, time_ns, signature, metadata) for time_ns, pod_id, path_id, signature, metadata in keys]
    changed = timelines.around_references(session, {row[:3] for row in rows})
    session.delete(REFERENCE, timelines.KEY, rows)
    timelines.mend(session, changed)
    _remove_unnamed(session, rows)
    session.run("UPDATE kharvest_store SET forgets = forgets + 1")
    return len(rows)


def _first(session: Session, identities: Identities, query: Query) -> list[Position]:
    """The first matches, up to the limit: pages may be short, so it may take several."""
    keys: list[Position] = []
    after = pages.position_of(query)
    while len(keys) < query.limit:
        asked = replace(query, limit=query.limit - len(keys), cursor=None)
        found, after = pages.positions(session, identities, asked, after)
        keys += found
        if after is None:
            break
    return keys


def _remove_unnamed(session: Session, rows: list[timelines.Row]) -> None:
    """Remove what only the removed references named: signatures, paths, pods, metadata."""
    unnamed = _without(session, "kharvest_reference o WHERE o.signature_id = given.id", {row[3] for row in rows})
    session.delete(SIGNATURE, "id", unnamed)
    unnamed = _without(session, "kharvest_signature o WHERE o.path_id = given.id", {row[1] for row in rows})
    session.delete(PATH, "id", unnamed)
    pods = _without(session, "kharvest_newest o WHERE o.pod_id = given.id", {row[0] for row in rows})
    session.delete(POD, "id", pods)
    sets = _without(session, "kharvest_reference o WHERE o.metadata_id = given.id", {row[4] for row in rows})
    session.delete(METADATA_PAIR, "metadata_id", sets)
    session.delete(METADATA, "id", sets)


def _without(session: Session, users: str, numbers: set[int]) -> list[tuple[int]]:
    rows = session.with_rows(
        f"SELECT given.id FROM {{rows}} WHERE NOT EXISTS (SELECT 1 FROM {users})",  # noqa: S608  names from here only
        "id",
        [(number,) for number in sorted(numbers)],
    )
    return [(row[0],) for row in rows]
