"""What a store's URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from kharvest.spi import InvalidStoreURL, StoreUnavailable, mask_url, scheme_of

_DEFAULTS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "heartbeatFrequencyMS": 5_000,
    "socketTimeoutMS": 10_000,
    "waitQueueTimeoutMS": 10_000,
    "maxIdleTimeMS": 10_000,
}
"""Milliseconds after which a server counts as away, or a connection as lost. PyMongo's own are up to 30 s, or never:
too long for whoever waits for an acknowledgement and could be told to try again.

One request ends after `socketTimeoutMS`, and is sent once more on another connection where that is safe. Connections
that were idle meanwhile are not used again, for what lost one of them may have lost them all: so `maxIdleTimeMS` is no
longer than `socketTimeoutMS`."""
WAIT_FOR_MAJORITY_MS = 8_000
"""How long a write waits for a majority of a replica set, unless `wTimeoutMS` says otherwise. Less than
`socketTimeoutMS`: the server answers first."""
_DATABASE = re.compile(r"[^/\\. \"$*<>:|?\0]{1,63}")


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, taken apart.

    Attributes:
        text: the URL, masked.
        url: for PyMongo, whole.
        database: which database the URL names.
        timeouts: options for PyMongo that the URL leaves open, in milliseconds.
        majority_ms: how long a write waits for a majority of a replica set.
    """

    text: str
    url: str
    database: str
    timeouts: dict[str, int]
    majority_ms: int


def parse(text: str) -> Address:
    """Take a URL apart. Looks the name of a `mongodb+srv` URL up in the DNS.

    Raises:
        InvalidStoreURL: it cannot be understood.
        StoreUnavailable: its name cannot be looked up.
    """
    masked = mask_url(text)
    # Never with PyMongo's error as the cause: it may quote what it could not read, and that may be a password.
    try:
        parts = parse_uri(text, warn=False)
    except InvalidURI:
        remedy = "write mongodb://user:password@host/database, with %-escapes for what is special in user and password"
        raise InvalidStoreURL(masked, "it cannot be read", remedy) from None
    except OSError as error:  # a file that an option names
        raise InvalidStoreURL(masked, f"{error.filename}: {error.strerror}", "correct the option") from None
    except (ConfigurationError, ValueError, TypeError) as error:
        if scheme_of(text) == "mongodb+srv" and type(error.__cause__).__module__.startswith("dns."):
            raise StoreUnavailable(f"the servers of {masked} cannot be found in the DNS") from None
        raise InvalidStoreURL(masked, f"it cannot be read: {quotable(error, masked)}", "correct it") from None
    database = parts["database"]
    if not database:
        raise InvalidStoreURL(masked, "it names no database", "put /NAME behind the host")
    if parts["collection"] or not _DATABASE.fullmatch(database):
        raise InvalidStoreURL(
            masked, "it does not name a database", "put a name without dots and spaces behind the host"
        )
    given = {name.lower() for name in parts["options"]}
    timeouts = {name: value for name, value in _DEFAULTS.items() if name.lower() not in given}
    return Address(masked, text, database, timeouts, parts["options"].get("wTimeoutMS", WAIT_FOR_MAJORITY_MS))


def quotable(error: Exception, masked: str) -> str:
    """What PyMongo says of a URL's options. It may repeat them, so not if one of them is a secret."""
    return "an option is wrong" if "***" in masked.partition("?")[2] else str(error)
