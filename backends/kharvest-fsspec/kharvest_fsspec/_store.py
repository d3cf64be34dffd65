"""The contract, on a log and an index."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from kharvest.spi import (
    Content,
    FileSummary,
    Page,
    Query,
    Reference,
    Signature,
    StoreCorrupt,
    StoreError,
    StoreFull,
    Timeline,
    UnknownContent,
)
from kharvest.spi.room import Allotment
from kharvest_fsspec._bucket import Bucket, Missing
from kharvest_fsspec._index import Index, TakenForDead
from kharvest_fsspec._log import Log
from kharvest_fsspec._operations import Append, Claim, Discard, Forget, Publish, Record, Release
from kharvest_fsspec._upkeep import FOLDER, Upkeep

_RANGE_BYTES = 2**20


class FsspecStore:
    """A store in a bucket: its log and its contents are there, the answers come from the index.

    Every read first sees to it that the index is as new as the log. `opened` is what `close` has to close.
    """

    def __init__(self, bucket: Bucket, log: Log, index: Index, upkeep: Upkeep, opened: ExitStack) -> None:
        self.capabilities = bucket.capabilities
        self._bucket = bucket
        self._log = log
        self._index = index
        self._upkeep = upkeep
        self._opened = opened

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if self.present((content.sha256,)):
            return
        name = f"{FOLDER}/{content.sha256.hex()}-{secrets.token_hex(8)}"
        with self._bucket.room_for(content.size) as room:
            self._bucket.upload(name, _within(room, chunks))
        # An error that leaves open whether it was published leaves the object, too: if it was not, it is swept one day.
        try:
            published = self._log.write(Publish(content, name))
        except TakenForDead:
            self._bucket.remove([name])
            raise
        if not published:  # somebody else's put was faster
            self._remove([name])

    def _remove(self, names: Collection[str]) -> None:
        """Remove objects that nobody sees any more. What is left is swept one day."""
        with suppress(StoreError):
            self._bucket.remove(names)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `ContentStore.read`. Between two chunks it holds nothing: a reader may take its time."""
        self._log.refresh()
        found = self._index.object_of(sha256)
        if found is None:
            raise UnknownContent(frozenset({sha256}))
        content, name = found
        return self._chunks(content, name, offset)

    def _chunks(self, content: Content, name: str, offset: int) -> Iterator[bytes]:
        while offset < content.size:
            try:
                chunk = self._bucket.get_range(name, offset, min(_RANGE_BYTES, content.size - offset))
            except Missing:
                chunk = b""
            if not chunk:
                self._log.refresh()
                found = self._index.object_of(content.sha256)
                if found is None or found[1] != name:
                    raise UnknownContent(frozenset({content.sha256}))  # discarded while it was read
                raise StoreCorrupt(f"the object {name} has no bytes at {offset} of {content.size}")
            yield chunk
            offset += len(chunk)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        if not sha256s:
            return {}
        self._log.refresh()
        return self._index.present(sha256s)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        self._log.refresh()
        yield from self._index.contents(after)

    def discard(self, sha256s: Collection[bytes]) -> None:
        if sha256s:
            self._remove(self._write_removal(Discard(sorted(set(sha256s)))))

    def _write_removal(self, operation: Discard | Forget) -> Any:
        """Write what removes more than it adds: on a full disk too."""
        try:
            return self._log.write(operation)
        except StoreFull:
            with self._bucket.spare_room():
                return self._log.write(operation)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if files or references:
            self._log.write(Record(files, references))

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended: list[Reference] = self._log.write(Append(files, references)) if files or references else []
        return appended

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        self._log.refresh()
        return self._index.reading.known(signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        self._log.refresh()
        return self._index.reading.newest(timelines)

    def references(self, query: Query) -> Page[Reference]:
        self._log.refresh()
        return self._index.reading.references(query)

    def files(self, query: Query) -> Page[FileSummary]:
        self._log.refresh()
        return self._index.reading.files(query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held: set[bytes] = self._log.write(Claim(sorted(set(keys)), holder, now_ns, until_ns)) if keys else set()
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        if keys:
            self._log.write(Release(sorted(set(keys)), holder))

    def now_ns(self) -> int:
        return self._bucket.now_ns()

    def forget(self, query: Query) -> int:
        return int(self._write_removal(Forget(query)))

    def close(self) -> None:
        self._upkeep.close()
        self._opened.close()


def _within(room: Allotment, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        room.check()  # other programs write to the disk too
        yield chunk
        room.wrote(len(chunk))
