"""Pages of references, in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kharvest.spi import InvalidCursor, Page, Query, Reference, decode_cursor, encode_cursor
from kharvest_sql._database import Session
from kharvest_sql._filters import Plan, plan
from kharvest_sql._identities import Identities
from kharvest_sql._walking import DIRECTIONS, FIRST, LAST, Position, Walk

WALKED = (2_000, 20_000)
"""Rows of an index that one page looks at when it has to pass some over: a millisecond's worth, and when that does not
fill it, some ten."""


def page(session: Session, identities: Identities, query: Query) -> Page[Reference]:
    keys, following = positions(session, identities, query, position_of(query))
    cursor = None if following is None else encode_cursor(query, *following)
    return Page(tuple(_references(identities, keys)), cursor)


def positions(
    session: Session, identities: Identities, query: Query, after: Position | None
) -> tuple[list[Position], Position | None]:
    """The keys on the page behind `after`, and behind what the next page starts; None if there is nothing more."""
    how = plan(session, identities, query)
    if how is None:
        return [], None
    direction = DIRECTIONS[query.order]
    bounds = how.times if after is None else (*how.times, direction.after(after))
    wanted = query.limit + 1
    keys: list[Position] = []
    end_ns: int | None = None
    for attempt, most in _attempts(how):
        keys, end_ns = Walk(session, attempt, bounds, direction).first(wanted, most)
        if len(keys) == wanted or end_ns is None:
            break
    if len(keys) == wanted:
        return keys[:-1], keys[-2]
    return keys, None if end_ns is None else direction.end_of(end_ns)


def _attempts(how: Plan) -> Iterator[tuple[Plan, int | None]]:
    """Ways to fill a page, and how many rows each may look at: the cheaper ones, which may not, come first."""
    if how.others:
        yield from ((how, most) for most in WALKED)
    else:
        if how.walk is not None:
            yield how.walk, WALKED[0]
        yield how, None


def _references(identities: Identities, keys: Sequence[Position]) -> list[Reference]:
    sets = identities.metadata_by_id({key[4] for key in keys})
    pods = identities.pods_by_id({key[1] for key in keys})
    signatures = identities.signatures_by_id({key[3] for key in keys})
    return [Reference(signatures[key[3]], pods[key[1]], sets[key[4]], key[0]) for key in keys]


def position_of(query: Query) -> Position | None:
    """Where the query's cursor stands."""
    match decode_cursor(query):
        case None:
            return None
        case (int(time_ns), int(pod_id), int(path_id), int(signature_id), int(metadata_id)):
            position = (time_ns, pod_id, path_id, signature_id, metadata_id)
            if all(FIRST <= number <= LAST for number in position):  # else it was not made here
                return position
    raise InvalidCursor
