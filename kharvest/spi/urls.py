"""Store URLs: which scheme they have, and how they may be shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kharvest.spi.errors import InvalidStoreURL

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|signature|^sig$", re.IGNORECASE)
_MASK = "***"


def scheme_of(url: str) -> str:
    """The scheme of a store URL, in lower case.

    Raises:
        InvalidStoreURL: it has none.
    """
    match = _SCHEME.match(url)
    if match is None:
        # Whatever this is, it may hold a password, and without a scheme nobody can tell where.
        raise InvalidStoreURL(_MASK, "it has no scheme", "start it with one, such as sqlite:///kharvest.db")
    return match.group().lower()


def mask_url(url: str) -> str:
    """The URL with its password, and the values of query options that look like secrets, replaced by `***`."""
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        name, colon, _password = user.partition(":")
        netloc = f"{name}{colon}{_MASK if colon else ''}{at}{host}"
        options = [(key, _MASK if _SECRET.search(key) else value) for key, value in parse_qsl(parts.query, True)]
        query = urlencode(options, safe="*/:") if options else parts.query
        return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment)) if netloc or query else url
    except ValueError:
        return f"{scheme_of(url)}:{_MASK}"
