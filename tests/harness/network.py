"""A network that fails: a TCP proxy on the loopback interface, in front of a server."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE_BYTES = 65536


class Proxy:
    """Forwards connections to a port of the loopback interface; a context manager, on a thread of its own.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._loses_all = False
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the proxy did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def forward_to(self, target: int) -> None:
        """Forward new connections to another port; those that are open stay where they are."""
        self._target = target

    def lose_open_connections(self) -> None:
        """Swallow all that connections that are open now carry, both ways, and end none: a NAT that forgot them."""
        done = threading.Event()

        def lose() -> None:
            for connection in self._connections:
                connection.is_lost = True
            done.set()

        self._loop.call_soon_threadsafe(lose)
        assert done.wait(30), "the proxy hangs"

    def lose_everything(self) -> None:
        """The same for new connections too: they are accepted, and nothing ever answers."""
        self._loses_all = True
        self.lose_open_connections()

    def recover(self) -> None:
        """Forward new connections again."""
        self._loses_all = False

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listening.close()
        # What was accepted already takes a few turns of the loop to become a connection. Each closes its own sockets.
        ending: set[_Connection] = set()
        while asyncio.all_tasks() - {asyncio.current_task()}:
            for connection in self._connections - ending:
                connection.task.cancel()
                ending.add(connection)
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # sockets are closed in the turn after they were given up

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(task, self._loses_all)
        self._connections.add(connection)
        with suppress(OSError, asyncio.CancelledError):
            try:
                await connection.forward(reader, writer, self._target)
            finally:
                writer.transport.abort()
                self._connections.discard(connection)


class _Connection:
    def __init__(self, task: asyncio.Task[None], is_lost: bool) -> None:
        self.task = task
        self.is_lost = is_lost

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", target)
        pumps = {
            asyncio.ensure_future(self._pump(reader, behind_writer)),
            asyncio.ensure_future(self._pump(behind_reader, writer)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            behind_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if not self.is_lost:
                    writer.write(piece)
                    await writer.drain()
        if self.is_lost:
            await asyncio.Event().wait()  # nobody is told of an end either
