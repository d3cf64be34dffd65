"""The store: references in the record layer, contents beside them, in one directory."""

from __future__ import annotations

from kharvest.records import RecordStore
from kharvest_lmdb.contents import Contents
from kharvest_lmdb.engine import LmdbEngine


class LmdbStore(Contents, RecordStore):
    """A store in a directory. Several handles and several processes may have it open."""

    def __init__(self, directory: str) -> None:
        self._lmdb = LmdbEngine(directory)
        try:
            RecordStore.__init__(self, self._lmdb, self.present)
        except BaseException:
            self._lmdb.close()
            raise
