"""Empties a store through the contract: what a harness does that has one place only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kharvest.spi import Query, Store

_FORGET = 10_000
_DISCARD = 1000


def is_empty(store: Store) -> bool:
    """Whether it shows neither a reference nor a content."""
    return not store.references(Query(limit=1)).items and next(store.contents(), None) is None


def empty(store: Store, leases: Mapping[str, Collection[bytes]]) -> bool:
    """Forget every reference, discard every content, and end leases, by their holder; whether nothing is left."""
    while store.forget(Query(limit=_FORGET)) == _FORGET:
        pass
    digests = [content.sha256 for content in store.contents()]
    for start in range(0, len(digests), _DISCARD):
        store.discard(digests[start : start + _DISCARD])
    for holder, keys in leases.items():
        store.release(keys, holder)
    return is_empty(store)
