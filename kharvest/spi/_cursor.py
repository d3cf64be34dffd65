"""Cursors for stores: opaque text that remembers where a page ended, and for which query it was made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import replace

from kharvest.spi._errors import InvalidCursor
from kharvest.spi._values import Query


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
    asked = replace(query, cursor=None, limit=1)
    return hashlib.sha256(repr((asked, position)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
