"""A correct engine, as plain as can be: all rows in one file, read anew by each view. Faults change one thing of it."""

from __future__ import annotations

import fcntl
import os
import pickle
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kharvest.records import Row
from kharvest.spi import Capability


class PlainView:
    """Rows that were read from the file."""

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self.rows = rows

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[key] for key in keys if key in self.rows}

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
        return sorted((row for row in self.rows.items() if start <= row[0] < end), reverse=reverse)[:limit]


class PlainEngine:
    """The engine. A commit holds a lock on a file beside the rows, and replaces them by a new file."""

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def load(self) -> dict[bytes, bytes]:
        """The rows."""
        rows: dict[bytes, bytes] = pickle.loads(self.path.read_bytes()) if self.path.exists() else {}
        return rows

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        """Replace the rows."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent)
        with os.fdopen(descriptor, "wb") as file:
            pickle.dump(rows, file)
        Path(name).replace(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One commit at a time."""
        with self.path.with_suffix(".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        yield PlainView(self.load())

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        with self.locked():
            rows = self.load()
            if not self.is_expected(rows, expected):
                return False
            for key in deletes:
                rows.pop(key, None)
            rows.update(puts)
            self.save(rows)
        return True

    def is_expected(self, rows: Mapping[bytes, bytes], expected: Mapping[bytes, bytes | None]) -> bool:
        """Whether all values are as expected."""
        return all(rows.get(key) == value for key, value in expected.items())

    def now_ns(self) -> int:
        return time.time_ns()

    def close(self) -> None:
        """Nothing is open between two calls."""
