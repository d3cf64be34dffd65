"""Opens a store on a URL, or one on two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kharvest.registry.composed import ComposedStore
from kharvest.registry.errors import BackendBroken
from kharvest.registry.guarded import GuardedStore, Observer
from kharvest.registry.plugins import load
from kharvest.spi import (
    Backend,
    ContentStore,
    InvalidStoreURL,
    KharvestError,
    ReferenceStore,
    Store,
    mask_url,
    scheme_of,
)

Opened = TypeVar("Opened")


def _unobserved(_operation: str, _seconds: float, _error: KharvestError | None) -> None:
    pass


def open_store(url: str, contents_url: str | None = None, observe: Observer = _unobserved) -> Store:
    """Open the store at `url`; with `contents_url`, references at `url` and contents there.

    `observe` is told of every call on the store: see `Observer`.

    Raises:
        InvalidStoreURL: the URL cannot be understood, or its backend has not the half that is asked for.
        StoreUnavailable, StoreCorrupt, IncompatibleSchema: there is no store that could be opened.
        KharvestError: one of `kharvest.registry.errors`: there is no backend that could open it.
    """
    if contents_url is None:
        return GuardedStore(_open(url, _whole(url)), mask_url(url), observe)
    references = _open(url, _references_half(url))
    try:
        contents = _open(contents_url, _contents_half(contents_url))
    except BaseException:
        references.close()
        raise
    name = f"{mask_url(url)} with contents in {mask_url(contents_url)}"
    return GuardedStore(ComposedStore(references, contents), name, observe)


def _whole(url: str) -> Callable[[str], Store]:
    backend = load(scheme_of(url))
    if backend.open is None:
        half, other = ("contents", "--store") if backend.open_contents else ("references", "--contents")
        raise InvalidStoreURL(mask_url(url), f"its backend holds {half} only", f"name a second store with {other}")
    return backend.open


def _references_half(url: str) -> Callable[[str], ReferenceStore]:
    backend = load(scheme_of(url))
    return _half(url, backend, backend.open_references, "references")


def _contents_half(url: str) -> Callable[[str], ContentStore]:
    backend = load(scheme_of(url))
    return _half(url, backend, backend.open_contents, "contents")


def _half(
    url: str, backend: Backend, half: Callable[[str], Opened] | None, name: str
) -> Callable[[str], Opened] | Callable[[str], Store]:
    opener = half or backend.open
    if opener is None:
        raise InvalidStoreURL(mask_url(url), f"its backend holds no {name}", "name another store")
    return opener


def _open(url: str, opener: Callable[[str], Opened]) -> Opened:
    try:
        return opener(url)
    except KharvestError:
        raise
    except Exception as error:  # a driver that is not installed, or a bug in somebody else's backend
        raise BackendBroken(scheme_of(url), "its driver", f"{type(error).__name__}: {error}") from error
