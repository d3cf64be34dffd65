"""Tells probes and people over HTTP how the client is.

Written on plain sockets: the standard library's HTTP server would cost every sidecar three megabytes.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from dataclasses import asdict
from types import TracebackType
from typing import Self

from kharvest.client.client import Client
from kharvest.client.errors import ConfigurationError

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_MAX_REQUEST_BYTES = 8192
_MAX_PORT = 65535


class Health:
    """Answers `GET /live` and `GET /status` on `HOST:PORT` while it is open; a context manager.

    Without a host, as in `:9465`, it answers on every address of the machine, IPv4 and IPv6: a kubelet asks the pod's
    own, of whichever kind that is.

    `/live` is 200 while the harvesting thread turns, else 503. A server that is away, or a file that is refused,
    is no reason to restart a pod, nor to send it no traffic: so nothing here turns red for that. `/status` tells
    such things as JSON, with the fields of `Status`.

    Raises, on entering:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._listening: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="kharvest-health", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        if self._listening is None:
            return self._address
        host, port = self._listening.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __enter__(self) -> Self:
        host, _, port = self._address.rpartition(":")
        if not port.isdecimal() or int(port) > _MAX_PORT:
            raise ConfigurationError("health", f"{self._address!r} has no port", "give HOST:PORT")
        try:
            self._listening = _listen(host.strip("[]"), int(port))
        except OSError as error:
            raise ConfigurationError("health", f"{self._address!r}: {error}", "name a free HOST:PORT") from error
        self._thread.start()
        logger.info("answering GET /live and /status on %s", self.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._thread.join()
            self._listening.close()

    def _run(self) -> None:
        while self._listening is not None:
            try:
                connection, _address = self._listening.accept()
            except OSError:
                return  # closed
            try:
                with connection:
                    connection.settimeout(_PATIENCE_SECONDS)
                    connection.sendall(self._answer(self._request(connection)))
            except OSError as error:
                logger.debug("a caller of the health address went away: %s", error)

    def _request(self, connection: socket.socket) -> list[str]:
        """The words of the request line."""
        received = b""
        while b"\r\n\r\n" not in received and len(received) < _MAX_REQUEST_BYTES:
            part = connection.recv(_MAX_REQUEST_BYTES)
            if not part:
                break
            received += part
        return received.split(b"\r\n", 1)[0].decode("latin-1").split(" ")

    def _answer(self, request: list[str]) -> bytes:
        match request:
            case ["GET" | "HEAD", "/live", *_]:
                try:
                    self._client.status()
                except (TimeoutError, RuntimeError) as error:
                    return _response("503 Service Unavailable", f"{error}\n")
                return _response("200 OK", "ok\n")
            case ["GET", "/status", *_]:
                try:
                    return _response("200 OK", json.dumps(asdict(self._client.status())) + "\n", "application/json")
                except (TimeoutError, RuntimeError) as error:
                    return _response("503 Service Unavailable", f"{error}\n")
            case _:
                return _response("404 Not Found", "ask for /live or /status\n")


def _listen(host: str, port: int) -> socket.socket:
    if host in ("", "::") and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=16)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=16)


def _response(status: str, body: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    content = body.encode(errors="backslashreplace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content
