"""The page with the metrics: a few lines of HTTP on the event loop, bounded in connections, bytes and time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

MAX_CONNECTIONS = 32
"""At once. Prometheus keeps one or two; whoever comes beyond is turned away before anything is read."""
MAX_REQUEST_BYTES = 8 * 1024
REQUEST_SECONDS = 5.0
"""From the connection to the last byte of the answer, whatever the caller does."""


class MetricsPage:
    """Answers GET and HEAD of any path with the metrics, one request a connection."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str | None, port: int) -> int:
        """Listen, on all interfaces without a host; the port.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_REQUEST_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no longer, and end all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is served by a task")
        self._connections.add(task)
        try:
            if len(self._connections) <= MAX_CONNECTIONS:
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it has had its time, or went away, or does not speak HTTP
        finally:
            self._connections.discard(task)
            if not writer.is_closing():
                writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        method = request.split(" ", 1)[0]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method in {"GET", "HEAD"}:
            encode, kind = choose_encoder(headers.get("accept", ""))
            status, body = "200 OK", encode(self._registry)
        else:
            status, kind, body = "405 Method Not Allowed", "text/plain", b"GET this page\n"
        answer = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
        writer.write("\r\n".join((*answer, "", "")).encode())
        if method != "HEAD":
            writer.write(body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
