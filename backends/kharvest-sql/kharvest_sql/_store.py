"""Opening a store: which database, and both halves on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import ProgrammingError

from kharvest.spi import InvalidStoreURL, StoreCorrupt, StoreFull
from kharvest.spi.room import Reserve, most_log_bytes
from kharvest_sql import _address as address
from kharvest_sql import _server as server
from kharvest_sql import _sqlite as sqlite
from kharvest_sql._address import Address
from kharvest_sql._contents import SqlContents
from kharvest_sql._database import Database
from kharvest_sql._references import SqlReferences
from kharvest_sql._schema import CONTENTS, REFERENCES
from kharvest_sql._server import ServerDatabase
from kharvest_sql._sqlite import Layout, SqliteFile
from kharvest_sql._users import Users

T = TypeVar("T")

_REFERENCES_LAYOUT = Layout(tables=REFERENCES, application_id=0x6B685265, page_bytes=8 * 1024, cache_kib=16 * 1024)
_CONTENTS_LAYOUT = Layout(tables=CONTENTS, application_id=0x6B68436F, page_bytes=64 * 1024, cache_kib=8 * 1024)
_PAIR_BYTES = 16
_IDLE_SECONDS = 3600
"""On a server: an upload that did not move for an hour is a leftover. One that wakes up later must begin again."""


class SqlStore(SqlContents, SqlReferences):
    """Both halves, on one server or in two files. `opened` is what `close` has to close."""

    def __init__(self, contents: Database, references: Database, opened: ExitStack) -> None:
        SqlContents.__init__(self, contents)
        SqlReferences.__init__(self, references, opened, self.present)


def open_store(url: str) -> SqlStore:
    """Open the store on a URL, and create what is missing of it. A store that is there opens on a full disk too."""
    where = address.parse(url)
    if where.path is None:
        return _closed_on_failure(partial(_open_server, where))
    return _open_in_room(where.path, partial(_open_files, where, where.path))


def open_references(url: str) -> SqlReferences:
    """Open the references half alone on a URL."""
    where = address.parse(url)
    if where.path is None:
        return _closed_on_failure(lambda opened: SqlReferences(_connect(where, opened), opened))
    return _open_in_room(where.path, partial(_open_references_file, where, where.path))


def _closed_on_failure(open_it: Callable[[ExitStack], T]) -> T:
    opened = ExitStack()
    try:
        return open_it(opened)
    except BaseException:
        opened.close()
        raise


def _open_in_room(path: Path, open_it: Callable[[Reserve, ExitStack], T]) -> T:
    """Open what is at `path`; on a full disk, in the room that is reserved for it."""
    sqlite.check_place(path)
    reserve = Reserve(path.with_name(f"{path.name}-reserve"), most_log_bytes(path.parent))
    try:
        store = _closed_on_failure(partial(open_it, reserve))
    except StoreFull:
        with reserve.given_up():
            return _closed_on_failure(partial(open_it, reserve))
    reserve.hold()
    return store


def _open_references_file(where: Address, path: Path, reserve: Reserve, opened: ExitStack) -> SqlReferences:
    file = _connect_file(where, path, _REFERENCES_LAYOUT, reserve, opened)
    if file.pair() is None:
        file.create(secrets.token_bytes(_PAIR_BYTES))
    file.prepare_to_write()
    return SqlReferences(file, opened)


def _open_server(where: Address, opened: ExitStack) -> SqlStore:
    database = _connect(where, opened)
    store = SqlStore(database, database, opened)
    store.remove_leftovers(_IDLE_SECONDS)
    return store


def _connect(where: Address, opened: ExitStack) -> ServerDatabase:
    database = server.connect(where)
    opened.callback(database.close)
    with _options_understood(where):
        database.connect()
    database.prepare()
    return database


def _connect_file(where: Address, path: Path, layout: Layout, reserve: Reserve, opened: ExitStack) -> SqliteFile:
    file = sqlite.open_file(where, path, layout, reserve)
    opened.callback(file.close)
    with _options_understood(where):
        file.connect()
    return file


@contextmanager
def _options_understood(where: Address) -> Iterator[None]:
    """Tell of options that the driver does not know, or whose values it cannot read: it sees them on connecting."""
    try:
        yield
    except (TypeError, ValueError, ProgrammingError) as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise InvalidStoreURL(where.text, f"its options are not understood: {reason}", "correct them") from error


def _open_files(where: Address, path: Path, reserve: Reserve, opened: ExitStack) -> SqlStore:
    """References in the file that the URL names, contents in one beside it.

    Two files, because SQLite has one writer for each: so an upload never makes an acknowledgement wait, and each has
    pages of the size that serves it best. They need no common transaction: a reference is recorded after its content.
    """
    references = _connect_file(where, path, _REFERENCES_LAYOUT, reserve, opened)
    pair = references.pair()
    contents_path = path.with_name(f"{path.name}-contents")
    if pair is not None and not contents_path.exists():
        raise StoreCorrupt(f"{contents_path} is missing, which holds the contents of {path.name}")
    users = Users(path.with_name(f"{path.name}-lock"))
    opened.callback(users.close)
    contents = _connect_file(where, contents_path, _CONTENTS_LAYOUT, reserve, opened)
    _match(references, contents, pair, contents_path)
    references.prepare_to_write()
    contents.prepare_to_write()
    store = SqlStore(contents, references, opened)
    if users.alone:
        with suppress(StoreFull):  # others have taken even the reserve: they stay until the store is opened again
            store.remove_leftovers(idle_seconds=None)  # nobody is here whose upload it could be
    users.let_others_in()
    return store


def _match(references: SqliteFile, contents: SqliteFile, pair: bytes | None, contents_path: Path) -> None:
    """Create what is missing, contents first, so that references are never there without; then both must be a pair."""
    contents_pair = contents.pair()
    if pair is None and contents_pair is None:
        contents.create(secrets.token_bytes(_PAIR_BYTES))
        contents_pair = contents.pair()
    if pair is None and contents_pair is not None:
        references.create(contents_pair)
        pair = references.pair()
    if pair != contents_pair:
        raise StoreCorrupt(f"{contents_path} holds the contents of another store")
