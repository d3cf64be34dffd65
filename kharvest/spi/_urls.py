"""Store URLs: which scheme they have, what in them is secret, and how they may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from kharvest.spi._errors import InvalidStoreURL

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_CHAINED = re.compile(r"(?<=::)(?=[A-Za-z][A-Za-z0-9+.-]*://)")  # fsspec's URLs, such as zip://a.zip::https://…
_BEFORE_USER = re.compile(r"(?:[^/@?:]*::)*[^/@?:]*:/*")
_FRAGMENT = re.compile(r"[^@/:?#&]{4,}")
_UNQUOTED = re.compile(r"[^:/@]*:(?!\d*(?:/|$))")
_SECRET = re.compile(
    r"pass|pwd|secret|token|key|credential|signature|^sig$|connection_?string|mechanism_?properties", re.IGNORECASE
)
_LONE_USERS = frozenset({"postgresql", "mysql", "mariadb", "mongodb"})
"""Databases: what stands alone before an `@` is the name of a user. Elsewhere it is a token."""
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
    """The URL with its password or token, and the values of query options that look like secrets, replaced by `***`.

    Meant for any text: a password that was not quoted, with an `@`, a slash or a question mark in it, is masked to its
    end.
    """
    return "".join(_MASK if part.is_secret else part.text for part in _parts(url))


def secrets_of(url: str) -> frozenset[str]:
    """What `mask_url` masks in a URL, as it is written there and decoded.

    Also the secret settings of a connection string, and what is left of a password that was not quoted when somebody
    cuts it at what is special in a URL.
    """
    found: set[str] = set()
    for part in _parts(url):
        if part.is_secret:
            for text in (part.text, unquote(part.text), unquote_plus(part.text)):
                settings = (setting.partition("=") for setting in text.split(";"))
                for secret in (text, *(value for name, equals, value in settings if equals and _SECRET.search(name))):
                    found |= {secret, secret.partition("@")[0], *_FRAGMENT.findall(secret)}
    return frozenset(found - {""})


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    is_secret: bool = False


def _parts(url: str) -> Iterator[_Part]:
    """A URL, cut where its secrets begin and end."""
    *chained, url = _CHAINED.split(url)
    for one in chained:
        yield from _parts(one)
    before = _BEFORE_USER.match(url)
    start = before.end() if before else 0
    yield _Part(url[:start])
    place, question_mark, options = url[start:].partition("?")
    if question_mark and "@" in options and "@" not in place and _UNQUOTED.match(place):
        place, question_mark, options = url[start:], "", ""  # the question mark is one of a password
    user, at, rest = place.rpartition("@")
    name, colon, _password = user.partition(":")
    if at and colon and "/" not in name:
        yield _Part(f"{name}:")
        yield _Part(user[len(name) + 1 :], is_secret=True)
    elif at and "/" not in user:
        yield _Part(user, is_secret=url.lower().partition(":")[0].partition("+")[0] not in _LONE_USERS)
    else:
        yield _Part(user)
    yield _Part(f"{at}{rest}{question_mark}")
    for number, option in enumerate(options.split("&")):
        option_name, equals, value = option.partition("=")
        yield _Part(f"{'&' if number else ''}{option_name}{equals}")
        decoded = unquote(value)
        if _SECRET.search(unquote(option_name)):
            yield _Part(value, is_secret=bool(equals))
        elif "://" in decoded:
            yield from _parts(decoded)
        else:
            yield _Part(value)
