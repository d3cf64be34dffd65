"""A database on a MongoDB server, and with which concerns it is read and written."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, TypeAlias

import pymongo
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern

from kharvest.spi import IncompatibleSchema, InvalidStoreURL, StoreUnavailable
from kharvest_mongo._address import Address, quotable
from kharvest_mongo._failures import told
from kharvest_mongo._schema import INDEXES, SCHEMA_VERSION, STORE, WRITTEN_BY

Document: TypeAlias = dict[str, Any]
"""What a collection holds: the edge to what has no types."""
STORE_ID = "store"
"""The one document of the collection `kharvest_store`."""
_IDENTITY = {"schema_version": 1, "store_id": 1}
_CLOSE_SECONDS = 1.0
"""How long the server may take to hear that its sessions end. If it does not, it ends them itself after 30 minutes."""


class Server:
    """One database. A connection that broke is replaced at its next use, without a restart.

    On a single server a write has happened when its journal is on the disk; on a replica set or a sharded cluster, when
    a majority has it, and what is read was written so: it can never be rolled back.

    Attributes:
        store_id: names the store, once it is prepared: the database may be dropped, and another one made there.
    """

    def __init__(self, address: Address) -> None:
        try:
            options: Document = {"appname": WRITTEN_BY, "connect": False, **address.timeouts}
            self._client: MongoClient[Document] = MongoClient(address.url, **options)
        except (ConfigurationError, ValueError, TypeError) as error:
            remedy = "see PyMongo's documentation of MongoClient"
            raise InvalidStoreURL(
                address.text, f"its options do not fit: {quotable(error, address.text)}", remedy
            ) from None
        self._address = address
        self.store_id = ""
        try:
            hello = self._hello()
        except BaseException:
            self.close()
            raise
        replicated = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._read_concern = ReadConcern("majority" if replicated else "local")
        self._write_concern = (
            WriteConcern(w="majority", j=True, wtimeout=address.majority_ms)
            if replicated
            else WriteConcern(w=1, j=True)
        )

    def collection(self, name: str) -> Collection[Document]:
        database = self._client.get_database(
            self._address.database,
            read_preference=ReadPreference.PRIMARY,  # others lag behind
            read_concern=self._read_concern,
            write_concern=self._write_concern,
        )
        return database[name]

    def now(self) -> datetime:
        """The server's clock, which tells how long leftovers have been there."""
        return self._hello()["localTime"]  # type: ignore[no-any-return]

    def prepare(self) -> None:
        """Create what is missing where no store is.

        Raises:
            IncompatibleSchema: a store of another version is there; nothing was changed.
        """
        with told():
            store = self.collection(STORE)
            found = store.find_one({"_id": STORE_ID}, _IDENTITY)
            if found is None:
                for name, indexes in INDEXES.items():
                    self.collection(name).create_indexes(list(indexes))
                new = {
                    "store_id": secrets.token_hex(16),
                    "schema_version": SCHEMA_VERSION,
                    "written_by": WRITTEN_BY,
                    "version": 0,
                    "next_batch": 1,
                    "hidden": [],
                    "recent": [],
                    "removals": 0,
                    "recent_removals": [],
                    "count": 0,
                }
                store.update_one({"_id": STORE_ID}, {"$setOnInsert": new}, upsert=True)
                found = store.find_one({"_id": STORE_ID}, _IDENTITY)
        if found is None:
            raise StoreUnavailable("the database was dropped while a store was made in it", "try again")
        version = found["schema_version"]
        if version != SCHEMA_VERSION:
            raise IncompatibleSchema(found=version, supported=SCHEMA_VERSION)
        self.store_id = found["store_id"]

    def close(self) -> None:
        """Close all connections. Does not wait for a server that does not answer."""
        with pymongo.timeout(_CLOSE_SECONDS):
            self._client.close()

    def _hello(self) -> Document:
        with told():
            return self._client.get_database(self._address.database).command("hello")
