"""Calls made of raw bytes, as no client of ours makes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc

ANNOUNCE = "/kharvest.v2.Harvest/Announce"
UPLOAD = "/kharvest.v2.Harvest/Upload"


class RawPeer:
    """A connection of its own, whose calls may stay unfinished; all of them end with it."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        self.channel: Any = grpc.insecure_channel(address, options=options)  # its stubs want types of messages
        self._ended = threading.Event()
        self._calls: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        for call in self._calls:
            call.cancel()
        self.channel.close()

    def send(self, method: str, message: bytes, *, compressed: bool = False, timeout: float = 30.0) -> bytes:
        """The reply to one message."""
        compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
        reply: bytes = self.channel.unary_unary(method)(message, timeout=timeout, compression=compression)
        return reply

    def begin(self, method: str) -> Any:
        """A call of which nothing but its beginning is sent."""
        call = self.channel.stream_stream(method)(_never(self._ended))
        self._calls.append(call)
        return call


def _never(ended: threading.Event) -> Iterator[bytes]:
    ended.wait()
    yield from ()
