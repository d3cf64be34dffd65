"""What the registry imports: the hook of the `memory:` scheme."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kharvest.spi import Backend, InvalidStoreURL, ReferenceStore, Store, hookimpl, mask_url


@hookimpl
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend of `memory:`. It declares no capability: nothing survives the process, or is seen by another."""
    if scheme != "memory":
        return None
    return Backend(
        spi_version=(1, 0),
        capabilities=frozenset(),
        open=_open,
        open_references=_open_references,
        beside=_beside,
    )


def _open(url: str) -> Store:
    from kharvest_memory._store import MemoryStore  # noqa: PLC0415  a plugin loads its store when it opens one

    _check(url)
    return MemoryStore()


def _open_references(url: str) -> ReferenceStore:
    from kharvest_memory._references import References  # noqa: PLC0415  as above

    _check(url)
    return References()


@contextmanager
def _beside(url: str, label: str) -> Iterator[str]:  # noqa: ARG001  every store has memory of its own
    _check(url)
    yield url


def _check(url: str) -> None:
    if url.lower() != "memory:":
        raise InvalidStoreURL(mask_url(url), "a memory store has no name and no options", "write memory:")
