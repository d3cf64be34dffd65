"""One content on its way to the server, read from one descriptor in constant memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from kharvest.client.errors import Changed, Unreadable
from kharvest.client.files import Stamp, look, open_regular
from kharvest.wire import v2_pb2


class Source:
    """The requests of one Upload: a header, then chunks, for as long as the file is the one that was hashed.

    gRPC iterates it on a thread of its own and lets go of it without a word when the server answers early: so the
    owner closes it, from another thread. Where the file has changed, before the first chunk or later, the requests
    just end: so the server learns at once that it has to ask somebody else, and `problem` tells us why.
    """

    def __init__(
        self,
        path: str,
        stamp: Stamp | None,
        header: v2_pb2.UploadHeader,
        chunk_bytes: int,
        progress: Callable[[], None],
    ) -> None:
        """Open the file; without a stamp it is known to have changed."""
        self.problem: Changed | Unreadable | OSError | None = None
        self.sent_bytes = 0
        self._header: v2_pb2.UploadHeader | None = header
        self._stamp = stamp
        self._left = 0 if stamp is None else stamp.size
        self._chunk_bytes = chunk_bytes
        self._progress = progress
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        try:
            if stamp is None or look(path) != stamp:
                self.problem = Changed()
            else:
                self._descriptor = open_regular(path)
        except Unreadable as problem:
            self.problem = problem

    def __iter__(self) -> Source:
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
                chunk = os.read(self._descriptor, self._chunk_bytes) if self._left else b""
                has_changed = Stamp.of(os.fstat(self._descriptor)) != self._stamp
            except OSError as error:
                self.problem = error
                return b""
            if has_changed or len(chunk) > self._left or (self._left and not chunk):
                self.problem = Changed()
                return b""
            self._left -= len(chunk)
            return chunk
