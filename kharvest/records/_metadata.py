"""Sets of metadata: each distinct one is stored once, under its digest, and found by each of its pairs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records._engine import View
from kharvest.spi import Metadata

_REMEMBERED = 1024


class MetadataSets:
    """Sets that were read lately, by their digests: a digest never stands for another set. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: OrderedDict[bytes, Metadata] = OrderedDict()

    def get(self, view: View, metadata_ids: Collection[bytes]) -> dict[bytes, Metadata]:
        """These sets."""
        wanted = set(metadata_ids)
        with self._lock:
            found = {one: self._recent[one] for one in wanted if one in self._recent}
        read = self._read(view, wanted - found.keys())
        with self._lock:
            self._recent |= read
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        return found | read

    def _read(self, view: View, metadata_ids: Collection[bytes]) -> dict[bytes, Metadata]:
        read = view.get([keys.metadata(one, 0) for one in metadata_ids]) if metadata_ids else {}
        others = [
            keys.metadata(one, number)
            for one in metadata_ids
            for number in range(1, rows.parts_of_metadata(rows.needed(read, keys.metadata(one, 0))))
        ]
        if others:
            read |= view.get(others)
        return {one: rows.to_metadata(one, read) for one in metadata_ids}
