"""An answer that stops coming is an error within half a minute, whatever the connection says of itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pytest
from harness import Pod, ServerThread

from kharvest.query import QueryClient, ServerUnavailable

BIG = bytes(range(256)) * 2**18
"""64 MiB: more than the buffers of two connections hold."""
LIMIT_SECONDS = 30.0


class Link:
    """A relay to a server, which can be made to swallow everything and to keep its connections open."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._swallows = threading.Event()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for end in self._ends:
            end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self._ends):
            end.close()

    def swallow(self) -> None:
        self._swallows.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._relay, args=(source, sink)))
                self._threads[-1].start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                if not self._swallows.is_set():
                    sink.sendall(part)
        except OSError:
            pass  # taken down


@pytest.fixture
def link() -> Iterator[Link]:
    with ServerThread("memory:") as server:
        with Pod(server.address) as pod:
            pod.harvest_files({"/big": BIG})
        with Link(server.address) as running:
            yield running


@pytest.mark.slow
def test_a_content_over_a_connection_that_swallows_everything_ends_within_half_a_minute(link: Link) -> None:
    with QueryClient(link.address) as client:
        (file,) = client.files()
        chunks = client.content(file.sha256)
        next(chunks)
        link.swallow()
        started = time.monotonic()
        with pytest.raises(ServerUnavailable, match=link.address):
            list(chunks)
        assert time.monotonic() - started < LIMIT_SECONDS
