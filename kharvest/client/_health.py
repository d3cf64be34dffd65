"""The client's status over HTTP, for probes and people.

Written on plain sockets: the standard library's HTTP server would cost every sidecar three megabytes.
"""

from __future__ import annotations

import errno
import json
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from types import TracebackType
from typing import Self

from kharvest.client._client import Client
from kharvest.client._errors import ConfigurationError

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
"""For a request, however it comes, and then for taking the answer."""
_MAX_CALLERS = 32
"""At once. When one more comes, the one that has been there the longest has to go."""
_MAX_REQUEST_BYTES = 8192
_MAX_PORT = 65535
_SHORTAGE_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Caller:
    """A connection: until the request is whole it is read from, then it is written to."""

    connection: socket.socket
    deadline: float
    request: bytes = b""
    answer: memoryview = field(default_factory=lambda: memoryview(b""))

    @property
    def is_asking(self) -> bool:
        return not self.answer

    @property
    def has_asked(self) -> bool:
        return b"\r\n\r\n" in self.request


class Health:
    """Answers `GET /live` and `GET /status` on `HOST:PORT` while it is open; a context manager.

    Without a host, as in `:9465`, it answers on every address of the machine, IPv4 and IPv6: a kubelet asks the pod's
    own, of whichever kind that is.

    `/live` is 200 while the harvesting thread turns without unexpected errors, else 503. A server that is away, or a
    file that is refused, is no reason to restart a pod, nor to send it no traffic: so nothing here turns red for that.
    `/status` answers with the fields of `Status` as JSON.

    One thread serves all callers, and waits for none of them: a caller has five seconds for its request, and as long to
    take the answer; one that is slow keeps no other one waiting.

    Raises, on entering:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._listening: socket.socket
        self._closing: socket.socket | None = None  # its other end is selected by the thread
        self._callers: dict[_Caller, None] = {}  # the oldest first; of the thread
        self._thread = threading.Thread(target=self._run, name="kharvest-health", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        if self._closing is None:
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
        self._listening.setblocking(False)
        self._closing, self._closed = socket.socketpair()
        self._thread.start()
        logger.info("answering GET /live and /status on %s", self.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closing is not None:
            self._closing.close()
            self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._closed, self._listening as listening:
            selector.register(self._closed, selectors.EVENT_READ)
            selector.register(listening, selectors.EVENT_READ)
            while self._turn(selector):
                pass
            for caller in list(self._callers):
                self._hang_up(selector, caller)

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        """Serve whoever can be served now. False once it is closed."""
        now = time.monotonic()
        deadline = min((caller.deadline for caller in self._callers), default=None)
        ready = selector.select(None if deadline is None else max(0.0, deadline - now))
        answer = cache(self._answer)  # those who ask at the same time get the same answer
        for key, _events in ready:
            if key.fileobj is self._closed:
                return False
            if key.data is None:
                self._accept(selector)
            elif key.data in self._callers:
                self._serve(selector, key.data, answer)
        for caller in [one for one in self._callers if one.deadline <= time.monotonic()]:
            self._hang_up(selector, caller)
        return True

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _address = self._listening.accept()
        except OSError as error:  # it has gone again, or there is no descriptor left
            logger.debug("a caller of the health address could not be accepted: %s", error)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_SHORTAGE_SECONDS)  # it is still waiting to be accepted
            return
        if len(self._callers) >= _MAX_CALLERS:
            self._hang_up(selector, next(iter(self._callers)))
        connection.setblocking(False)
        caller = _Caller(connection, time.monotonic() + _PATIENCE_SECONDS)
        self._callers[caller] = None
        selector.register(connection, selectors.EVENT_READ, caller)

    def _serve(self, selector: selectors.BaseSelector, caller: _Caller, answer: Callable[[str, str], bytes]) -> None:
        """Read what there is, or write what there is room for."""
        try:
            if caller.is_asking:
                part = caller.connection.recv(_MAX_REQUEST_BYTES - len(caller.request) + 1)
                caller.request += part
                if len(caller.request) > _MAX_REQUEST_BYTES:
                    caller.answer = memoryview(
                        _response("431 Request Header Fields Too Large", "send a request of less than 8 KiB\n")
                    )
                elif caller.has_asked:
                    caller.answer = memoryview(answer(*_method_and_path(caller.request)))
                elif not part:
                    self._hang_up(selector, caller)
                    return
                else:
                    return
                selector.modify(caller.connection, selectors.EVENT_WRITE, caller)
                caller.deadline = time.monotonic() + _PATIENCE_SECONDS
            caller.answer = caller.answer[caller.connection.send(caller.answer) :]
        except BlockingIOError:
            return
        except OSError as error:
            logger.debug("a caller of the health address went away: %s", error)
            caller.answer = memoryview(b"")
        if not caller.answer:
            self._hang_up(selector, caller)

    def _hang_up(self, selector: selectors.BaseSelector, caller: _Caller) -> None:
        del self._callers[caller]
        selector.unregister(caller.connection)
        caller.connection.close()

    def _answer(self, method: str, path: str) -> bytes:
        match method, path:
            case "GET" | "HEAD", "/live":
                try:
                    is_ready = self._client.status().ready
                except (TimeoutError, RuntimeError) as error:
                    return _response("503 Service Unavailable", f"{error}\n")
                if not is_ready:
                    return _response("503 Service Unavailable", "unexpected errors follow one another; see the log\n")
                return _response("200 OK", "ok\n")
            case "GET", "/status":
                try:
                    return _response("200 OK", json.dumps(asdict(self._client.status())) + "\n", "application/json")
                except (TimeoutError, RuntimeError) as error:
                    return _response("503 Service Unavailable", f"{error}\n")
            case _:
                return _response("404 Not Found", "ask for /live or /status\n")


def _method_and_path(request: bytes) -> tuple[str, str]:
    method, _, rest = request.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    return method, rest.partition(" ")[0].partition("?")[0]


def _listen(host: str, port: int) -> socket.socket:
    if host in ("", "::") and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_MAX_CALLERS)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_MAX_CALLERS)


def _response(status: str, body: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    content = body.encode(errors="backslashreplace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content
