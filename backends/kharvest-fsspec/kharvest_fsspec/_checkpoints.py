"""Checkpoints: the whole state after some segment, so that opening a store need not read the log from its beginning.

A checkpoint is the object `checkpoints/<number>-<random>`, visible whole or not at all, and never changed. Several
processes may make one of the same number: they hold the same. What they cover is removed from the log when it is old,
see `log` for why it must be old.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kharvest_fsspec import _frames as frames
from kharvest_fsspec import _scratch as scratch
from kharvest_fsspec._bucket import Bucket, Missing
from kharvest_fsspec._frames import HEADER, TRAILER, Header, damaged
from kharvest_fsspec._index import Index
from kharvest_fsspec._log import segment_name

_FOLDER = "checkpoints"
_PART_BYTES = 2**20
_RANGE_BYTES = 4 * 2**20
_KEPT = 2
"""Checkpoints to keep: somebody may just be reading the one before the newest."""
_REMOVED_AT_ONCE = 1000
_MOST_TRIES = 20
TRIMMED = 0
"""When a remembered checkpoint was made, if all segments that it covers are removed already."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in the bucket. `number` is that of the last segment it covers."""

    number: int
    name: str
    made_at_ns: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checkpoint's index in a file of this machine, and how many bytes the checkpoint itself has."""

    checkpoint: Checkpoint
    index: Path
    size: int


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint that was just made: how many bytes it has, and when it was made by the clock of the place."""

    size: int
    made_at_ns: int


class Checkpoints:
    """The checkpoints of one store. Used by one thread at a time, but for `newest` and `fetch`."""

    def __init__(self, bucket: Bucket, store: bytes, retention_ns: int) -> None:
        self._bucket = bucket
        self._store = store
        self._retention_ns = retention_ns
        self._remembered: dict[int, int] = {}

    def newest(self) -> Checkpoint | None:
        """The one that covers most; None if there is none."""
        found = self._all()
        return found[-1] if found else None

    def _all(self) -> list[Checkpoint]:
        entries = self._bucket.entries(_FOLDER)
        return [
            Checkpoint(int(number), entry.name, entry.modified_ns)
            for entry in entries
            if (number := entry.name.partition("/")[2].partition("-")[0]).isdecimal()
        ]

    def fetch(self, folder: Path) -> Fetched | None:
        """The newest checkpoint, in a new file in `folder`; None if there is none."""
        newest = None
        for _try in range(_MOST_TRIES):
            newest = self.newest()
            if newest is None:
                break
            path = folder / f"checkpoint-{secrets.token_hex(4)}.db"
            with scratch.told(path), suppress(Missing):  # a newer one came, and another, while we read this one
                return Fetched(newest, path, self._read(newest, path))
        if newest is None:
            return None
        raise damaged(newest.name, "it is listed, and not there")

    def _read(self, checkpoint: Checkpoint, path: Path) -> int:
        """Inflate a checkpoint into a file; return how many bytes it has itself."""
        name = checkpoint.name
        ranges = self._ranges(name)
        data = next(ranges)
        frames.read_header(name, data, frames.CHECKPOINT, checkpoint.number, self._store)
        crc = zlib.crc32(data[: HEADER.size])
        size = len(data)
        data = data[HEADER.size :]
        inflate = zlib.decompressobj()
        with path.open("wb") as file:
            while True:
                try:
                    file.write(inflate.decompress(data))
                except zlib.error as error:
                    raise damaged(name, str(error)) from error
                if inflate.eof:
                    break
                crc = zlib.crc32(data, crc)
                data = next(ranges, b"")
                if not data:
                    raise damaged(name, f"it is cut short after {size} bytes")
                size += len(data)
        trailer = inflate.unused_data
        crc = zlib.crc32(data[: len(data) - len(trailer)], crc)
        trailer += next(ranges, b"")
        if trailer != TRAILER.pack(crc):
            raise damaged(name, "its bytes are not what was written")
        return size

    def _ranges(self, name: str) -> Iterator[bytes]:
        start = 0
        while True:
            data = self._bucket.get_range(name, start, _RANGE_BYTES)
            yield data
            if len(data) < _RANGE_BYTES:
                return
            start += len(data)

    def remember(self, index: Index, loaded: Checkpoint) -> None:
        """Remember what the checkpoint that the index began with remembers, and when it was made."""
        self._remembered |= {loaded.number: loaded.made_at_ns, **index.checkpoints()}

    def make(self, index: Index, since: int, folder: Path) -> Made | None:
        """Make a checkpoint of the index as it is, by way of a file in `folder`, and remove what it makes superfluous.

        None if somebody else made one that covers more than segment `since`: then nothing is made.
        """
        others = self._all()
        for one in others:
            self._remembered.setdefault(one.number, one.made_at_ns)
        if others and others[-1].number > since:
            return None
        copy = folder / f"copy-{secrets.token_hex(4)}.db"
        try:
            number = index.checkpoint(copy, self._remembered)
            name = f"{_FOLDER}/{number:020}-{secrets.token_hex(8)}"
            counted = _Counted()
            with scratch.told(copy):
                self._bucket.upload(name, counted.parts(self._header(number), copy))
        finally:
            copy.unlink(missing_ok=True)
        now_ns = self._bucket.modified_ns(name)
        self._remembered[number] = now_ns
        self._bucket.remove([one.name for one in others[: 1 - _KEPT]])
        self._trim(now_ns)
        return Made(counted.size, now_ns)

    def _header(self, number: int) -> Header:
        return Header(frames.CHECKPOINT, number, self._store, secrets.token_bytes(16))

    def _trim(self, now_ns: int) -> None:
        """Remove the segments that an old checkpoint covers: they are older than it is."""
        old = [number for number, made_at_ns in self._remembered.items() if made_at_ns <= now_ns - self._retention_ns]
        if not old:
            return
        trimmed = max((number for number in old if self._remembered[number] == TRIMMED), default=0)
        for first in range(trimmed + 1, max(old) + 1, _REMOVED_AT_ONCE):
            last = min(first + _REMOVED_AT_ONCE - 1, max(old))
            self._bucket.remove([segment_name(number) for number in range(first, last + 1)])
        newer = {number: made_at_ns for number, made_at_ns in self._remembered.items() if number > max(old)}
        self._remembered = {max(old): TRIMMED, **newer}


class _Counted:
    """The parts of a checkpoint, and how many bytes they were."""

    def __init__(self) -> None:
        self.size = 0

    def parts(self, header: Header, path: Path) -> Iterator[bytes]:
        deflate = zlib.compressobj(1)
        crc = 0
        with path.open("rb") as file:
            pending = header.pack()
            while data := file.read(_PART_BYTES):
                pending += deflate.compress(data)
                if len(pending) >= _PART_BYTES:
                    crc = zlib.crc32(pending, crc)
                    self.size += len(pending)
                    yield pending
                    pending = b""
            pending += deflate.flush()
        crc = zlib.crc32(pending, crc)
        pending += TRAILER.pack(crc)
        self.size += len(pending)
        yield pending
