"""Opens a store on a URL, or one on two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kharvest.registry._composed import ComposedStore
from kharvest.registry._errors import BackendBroken, MissingCapability
from kharvest.registry._guarded import GuardedStore, StoreListener
from kharvest.registry._plugins import Plugin, load
from kharvest.registry._secrets import Secrets
from kharvest.spi import (
    ContentStore,
    InvalidStoreURL,
    KharvestError,
    Opened,
    ReferenceStore,
    Store,
    mask_url,
    scheme_of,
)

AnyStore = TypeVar("AnyStore", bound=Opened)


def _unobserved(_operation: str, _seconds: float, _error: KharvestError | None) -> None:
    pass


def open_store(url: str, contents_url: str | None = None, observe: StoreListener = _unobserved) -> Store:
    """Open the store at `url`; with `contents_url`, references at `url` and contents there.

    `observe` is told of every call on the store: see `StoreListener`. No error, nor a driver's that it is chained to,
    shows what is secret in the URLs. What drivers log is masked where it is written: see `Secrets`.

    Raises:
        InvalidStoreURL: the URL cannot be understood, or its backend has not the half that is asked for.
        StoreUnavailable, StoreCorrupt, IncompatibleSchema: there is no store that could be opened.
        KharvestError: one of `kharvest.registry._errors`: there is no backend that could open it.
    """
    secrets = Secrets(url, contents_url)
    try:
        store, name = _opened(url, contents_url)
    except BaseException as error:
        secrets.mask_error(error)
        raise
    return GuardedStore(store, name, secrets, observe)


def _opened(url: str, contents_url: str | None) -> tuple[Store, str]:
    if contents_url is None:
        return _whole(url), mask_url(url)
    references = _references(url)
    try:
        contents = _contents(contents_url)
    except BaseException:
        references.close()
        raise
    return ComposedStore(references, contents), f"{mask_url(url)} with contents in {mask_url(contents_url)}"


def _whole(url: str) -> Store:
    plugin = load(scheme_of(url))
    backend = plugin.backend
    if backend.open is None:
        half, other = ("contents", "--store") if backend.open_contents else ("references", "--contents")
        raise InvalidStoreURL(mask_url(url), f"its backend holds {half} only", f"name a second store with {other}")
    return _open(url, plugin, backend.open)


def _references(url: str) -> ReferenceStore:
    plugin = load(scheme_of(url))
    opener = plugin.backend.open_references or plugin.backend.open
    if opener is None:
        raise InvalidStoreURL(mask_url(url), "its backend holds no references", "name another store")
    return _open(url, plugin, opener)


def _contents(url: str) -> ContentStore:
    plugin = load(scheme_of(url))
    opener = plugin.backend.open_contents or plugin.backend.open
    if opener is None:
        raise InvalidStoreURL(mask_url(url), "its backend holds no contents", "name another store")
    return _open(url, plugin, opener)


def _open(url: str, plugin: Plugin, opener: Callable[[str], AnyStore]) -> AnyStore:
    try:
        store = opener(url)
    except KharvestError:
        raise
    except Exception as error:  # a driver that is not installed, or a bug in somebody else's backend
        raise BackendBroken(scheme_of(url), plugin.distribution, f"{type(error).__name__}: {error}") from error
    missing = plugin.backend.capabilities - store.capabilities
    if missing:
        store.close()
        raise MissingCapability(scheme_of(url), plugin.distribution, missing)
    return store
