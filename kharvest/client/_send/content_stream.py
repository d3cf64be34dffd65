"""One content on its way to the server, read from one descriptor in constant memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

from kharvest.client._errors import Changed, Unreadable
from kharvest.client._watch.content import Reading, Stamp, open_regular
from kharvest.wire import v2_pb2


class ContentStream:
    """The requests of one Upload: a header, then chunks, for as long as the file holds what was hashed.

    What is sent is hashed again, and the last chunk goes out only if all is as it was announced. So a file that only
    grows meanwhile is sent as far as it was announced, and `has_grown` is set.

    gRPC iterates it on a thread of its own and lets go of it without a word when the server answers early: so the
    owner closes it, from another thread. Where the file has changed, before the first chunk or later, the requests
    just end: so the server learns at once that it has to ask somebody else, and `problem` says why.
    """

    def __init__(
        self, reading: Reading | None, header: v2_pb2.UploadHeader, chunk_bytes: int, progress: Callable[[], None]
    ) -> None:
        """Open the file; without a reading it is known to have changed. `progress` is called for every chunk."""
        self.problem: Changed | Unreadable | OSError | None = None
        self.sent_bytes = 0
        self.has_grown = False
        self._header: v2_pb2.UploadHeader | None = header
        self._stamp = None if reading is None else reading.stamp
        self._left = header.file.size
        self._announced = header.file.sha256
        self._sha256 = hashlib.sha256()
        self._chunk_bytes = chunk_bytes
        self._progress = progress
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        try:
            if reading is None:
                self.problem = Changed()
            else:
                self._descriptor = open_regular(reading.location)
        except Unreadable as problem:
            self.problem = problem

    def __iter__(self) -> ContentStream:
        return self

    def __next__(self) -> v2_pb2.UploadRequest:
        if self._header is not None:
            header, self._header = self._header, None
            return v2_pb2.UploadRequest(header=header)
        chunk = self._chunk()
        if not chunk:
            raise StopIteration
        self.sent_bytes += len(chunk)
        self._progress()
        return v2_pb2.UploadRequest(chunk=chunk)

    def close(self) -> None:
        """Close the file; the requests end. Closing twice is allowed."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _chunk(self) -> bytes:
        with self._lock:  # or the descriptor could be closed, and be another file, under our hands
            if self._descriptor is None or self.problem is not None:
                return b""
            try:
                chunk = os.read(self._descriptor, min(self._chunk_bytes, self._left))
                now = Stamp.of(os.fstat(self._descriptor))
            except OSError as error:
                self.problem = error
                return b""
            self._left -= len(chunk)
            self._sha256.update(chunk)
            has_ended = not chunk or not self._left
            if self._is_rewritten(now) or (has_ended and self._sha256.digest() != self._announced):
                self.problem = Changed()
                return b""
            return chunk

    def _is_rewritten(self, now: Stamp) -> bool:
        """Whether the file is surely not the one that was hashed, nor that one grown."""
        was = self._stamp
        if was is None or now == was:
            return was is None
        self.has_grown = True
        return (now.device, now.inode) != (was.device, was.inode) or now.size <= was.size
