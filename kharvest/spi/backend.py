"""How a backend makes itself known: an entry point, a hook, and a `Backend`.

A distribution registers one entry point in the group `kharvest.stores` for each URL scheme it serves, named like the
scheme, all of them naming the module that implements the hook::

    [project.entry-points."kharvest.stores"]
    sqlite = "kharvest_sql.plugin"

That module is imported when a URL of its scheme is opened, or when `kharvest stores` lists it; it should import its
driver library no earlier than in `Backend.open`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pluggy

from kharvest.spi.store import Capability, ContentStore, ReferenceStore, Store

SPI_VERSION = (1, 0)
"""Major and minor version of this contract. A backend for another major, or a later minor, is refused."""

ENTRY_POINT_GROUP = "kharvest.stores"
"""The group of entry points in which a distribution registers its schemes."""
PROJECT = "kharvest"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks the hook `kharvest_backend(scheme)` of a backend's module: it returns the `Backend` of a scheme, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What a plugin tells about the backend that serves one scheme.

    Attributes:
        spi_version: the version of the contract it was written for.
        capabilities: what every store that it opens has, whole or half. An opened store may declare more; one that
            declares less is closed and refused.
        open: opens a whole store on a URL, creating what is missing where nothing is; None if the backend serves one
            half only.
        open_contents: opens a store for contents only, for use beside a reference store elsewhere; None if the backend
            has no such half, or if `open` serves for it.
        open_references: the same for references.
        beside: makes places for tests. It is given a URL and a label, which begins with a letter and has at most 20 of
            `a` to `z`, `0` to `9` and `_`. The context that it returns gives the URL of a new, empty place of the same
            kind beside the one that the URL names, and at its end removes that place with all that is in it. What was
            there before it never touches. Stores at such places are opened in processes that were forked after
            another one was opened and closed. None if there are no such places: the conformance suite then runs one
            test at a time.

    The functions raise `InvalidStoreURL`, `StoreUnavailable`, `StoreCorrupt` or `IncompatibleSchema`, and put a
    URL into a message only after masking it with `kharvest.spi.mask_url`.
    """

    spi_version: tuple[int, int]
    capabilities: frozenset[Capability]
    open: Callable[[str], Store] | None
    open_contents: Callable[[str], ContentStore] | None = None
    open_references: Callable[[str], ReferenceStore] | None = None
    beside: Callable[[str, str], AbstractContextManager[str]] | None = None


@hookspec(firstresult=True)
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend that serves `scheme`; None if this plugin does not."""
