"""A TCP proxy before a real server: its connections can become black holes, and new ones be led elsewhere."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE_BYTES = 65536


class _Link:
    """One connection, and the one behind it."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.ends = (near, far)
        self.is_black_hole = False

    def pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE_BYTES):
                if not self.is_black_hole:
                    sink.sendall(data)
        if not self.is_black_hole:  # which tells nobody of an end either
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a free port of the loopback interface; a context manager that closes all.

    A black hole acknowledges what it is sent, passes nothing on in either direction, and never ends: what a load
    balancer does that has lost its server, and, but for the acknowledgements, a network that is cut.

    Attributes:
        port: where it listens.
        target: the port that new connections lead to.
        swallows_new: whether new connections are black holes from the start.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.swallows_new = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()  # guards the two lists
        self._links: list[_Link] = []
        self._threads = [threading.Thread(target=self._accept)]

    def swallow(self) -> None:
        """Make black holes of the connections that are there."""
        with self._lock:
            for link in self._links:
                link.is_black_hole = True

    def _accept(self) -> None:
        with suppress(OSError):  # when it is closed
            while True:
                near, _address = self._listening.accept()
                self._serve(near)

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        link = _Link(near, far)
        link.is_black_hole = self.swallows_new
        pumps = [threading.Thread(target=link.pass_on, args=ends) for ends in ((near, far), (far, near))]
        with self._lock:
            self._links.append(link)
            self._threads += pumps
        for pump in pumps:
            pump.start()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        for link in self._links:
            link.close()
        for thread in self._threads:
            thread.join()
