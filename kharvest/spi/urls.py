"""Store URLs: which scheme they have, and how they may be shown."""

from __future__ import annotations

import re

from kharvest.spi.errors import InvalidStoreURL

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|signature|^sig$|connection_?string", re.IGNORECASE)
_PASSWORD = re.compile(r"^([^:]*://[^:/@]*:).*@", re.DOTALL)
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
    """The URL with its password, and the values of query options that look like secrets, replaced by `***`.

    Meant for any text: a password that was not quoted, with an `@` or a slash in it, is masked to its end.
    """
    before, question_mark, options = url.partition("?")
    masked = _PASSWORD.sub(rf"\1{_MASK}@", before)
    if not question_mark:
        return masked
    return f"{masked}?{'&'.join(map(_mask_option, options.split('&')))}"


def _mask_option(option: str) -> str:
    name, equals, _value = option.partition("=")
    return f"{name}={_MASK}" if equals and _SECRET.search(name) else option
