"""Tells kharvest of this backend. LMDB itself is imported when a store is opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from kharvest.spi import SPI_VERSION, Backend, Capability, InvalidStoreURL, Store, hookimpl, mask_url

CAPABILITIES = frozenset({Capability.DURABLE, Capability.SHARED})


def open_store(url: str) -> Store:
    """Open the store in the directory that a URL `lmdb:///directory` names; it is made if it is not there."""
    parts = urlsplit(url)
    if parts.netloc or parts.path in ("", "/") or parts.query or parts.fragment:
        raise InvalidStoreURL(mask_url(url), "it names no directory", "write lmdb:///path/of/the/directory")
    from kharvest_lmdb.store import LmdbStore  # noqa: PLC0415  # loads the driver

    return LmdbStore(unquote(parts.path))


@contextmanager
def place_beside(url: str, label: str) -> Iterator[str]:
    """The URL of a new, empty directory beside the one that a URL names; it is removed at the end."""
    named = Path(unquote(urlsplit(url).path))
    new = named.with_name(f"{label}-{named.name}")
    new.mkdir()
    try:
        yield f"lmdb://{quote(str(new))}"
    finally:
        shutil.rmtree(new)


@hookimpl
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend that serves `lmdb`."""
    if scheme != "lmdb":
        return None
    return Backend(spi_version=SPI_VERSION, capabilities=CAPABILITIES, open=open_store, beside=place_beside)
