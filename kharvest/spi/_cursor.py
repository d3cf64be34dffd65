"""Cursors for stores: opaque text that remembers where a page ended, and for which query it was made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import fields
from enum import Enum

from kharvest.spi._errors import InvalidCursor
from kharvest.spi._values import Metadata, Query


def encode_cursor(query: Query, *position: int | str) -> str:
    """A cursor for `query` that stands at `position`: whatever the store needs to find the next item."""
    text = json.dumps([_fingerprint(query, position), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(query: Query) -> tuple[int | str, ...] | None:
    """The position of the query's cursor; None if it has none.

    Raises:
        InvalidCursor: it was not made by `encode_cursor` for this query (limit apart).
    """
    if query.cursor is None:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        _fingerprint_of_its_own, *parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise InvalidCursor("it is damaged") from None
    position = tuple(part for part in parts if isinstance(part, (int, str)))
    # Compared as text, not part by part: several texts are one in Base64 or in JSON, and only one was made here.
    if len(position) != len(parts) or encode_cursor(query, *position) != query.cursor:
        raise InvalidCursor
    return position


def _fingerprint(query: Query, position: tuple[int | str, ...]) -> str:
    """What tells a query and a position from others, for as long as its restrictions have their names.

    Servers of two versions share a store: a restriction that one of them does not know changes nothing as long as
    nobody asks by it.
    """
    asked = {
        name: _plain(getattr(query, name)) for name in _RESTRICTIONS if getattr(query, name) != _RESTRICTIONS[name]
    }
    text = json.dumps([asked, position], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case Metadata():
            return dict(value)
        case Enum():
            return value.value
        case _:
            return value


_RESTRICTIONS = {
    field.name: getattr(Query(), field.name) for field in fields(Query) if field.name not in {"cursor", "limit"}
}
"""What a query without any has of each."""
