"""Opening a store: which database, and both halves in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kharvest_mongo import _address as address
from kharvest_mongo._contents import MongoContents
from kharvest_mongo._references import MongoReferences
from kharvest_mongo._server import Server


class MongoStore(MongoContents, MongoReferences):
    """Both halves, in one database."""

    def __init__(self, server: Server) -> None:
        MongoContents.__init__(self, server)
        MongoReferences.__init__(self, server, self.present)


def open_store(url: str) -> MongoStore:
    """Open the store on a URL, and create what is missing of it."""
    with _prepared(url) as server:
        store = MongoStore(server)
        store.remove_leftovers()
        store.bury_dead()
        return store


def open_references(url: str) -> MongoReferences:
    """Open the references half alone on a URL."""
    with _prepared(url) as server:
        store = MongoReferences(server)
        store.bury_dead()
        return store


@contextmanager
def _prepared(url: str) -> Iterator[Server]:
    """A server with a store in it, closed when the block raises."""
    server = Server(address.parse(url))
    try:
        server.prepare()
        yield server
    except BaseException:
        server.close()
        raise
