"""Tells kharvest of this backend. LMDB itself is imported when a store is opened."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from kharvest.spi import SPI_VERSION, Backend, Capability, InvalidStoreURL, Store, hookimpl, mask_url

CAPABILITIES = frozenset({Capability.DURABLE, Capability.SHARED})


def open_store(url: str) -> Store:
    """Open the store in the directory that a URL `lmdb:///directory` names; it is made if it is not there."""
    parts = urlsplit(url)
    if parts.netloc or parts.path in ("", "/") or parts.query or parts.fragment:
        raise InvalidStoreURL(mask_url(url), "it names no directory", "write lmdb:///path/of/the/directory")
    from kharvest_lmdb.store import LmdbStore  # noqa: PLC0415  # loads the driver

    return LmdbStore(unquote(parts.path))


@hookimpl
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend that serves `lmdb`."""
    if scheme != "lmdb":
        return None
    return Backend(spi_version=SPI_VERSION, capabilities=CAPABILITIES, open=open_store)
