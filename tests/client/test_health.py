"""The health address answers whoever asks, whatever others do there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from client.watched import config
from kharvest.client import Client, Health

REQUEST = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_SECONDS = 20.0
CALLERS = 32


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    with Client(config("127.0.0.1:1", [tmp_path / "file"])) as client, Health(client, "127.0.0.1:0") as health:
        host, _, port = health.address.rpartition(":")
        yield host, int(port)
        client.close(0)


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, PATIENCE_SECONDS)


def answer_to(address: tuple[str, int], request: bytes = REQUEST) -> bytes:
    with connect(address) as connection:
        connection.sendall(request)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up, which is nothing where it does so with bytes unread."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /li", b"GET /live HTTP/1.1\r\n"])
def test_idle_callers_keep_nobody_waiting(address: tuple[str, int], sent: bytes) -> None:
    with ExitStack() as callers:
        for _ in range(4 * CALLERS):  # more than it holds at once
            callers.enter_context(connect(address)).sendall(sent)
        started = time.monotonic()
        for _ in range(20):
            assert answer_to(address).startswith(b"HTTP/1.1 200 OK")
        assert time.monotonic() - started < 4  # an idle one is waited for 5 s


def test_a_caller_that_sends_a_byte_now_and_then_is_hung_up_on(address: tuple[str, int]) -> None:
    with connect(address) as slow:
        started, hung_up = time.monotonic(), threading.Event()

        def trickle() -> None:
            try:
                while not hung_up.wait(0.1):
                    slow.sendall(b"x")
            except OSError:
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        assert answer_to(address).startswith(b"HTTP/1.1 200 OK")
        assert time.monotonic() - started < 4
        assert rest(slow) == b""
        hung_up.set()
        thread.join()
        assert time.monotonic() - started < PATIENCE_SECONDS


def test_a_request_without_end_is_refused(address: tuple[str, int]) -> None:
    request = b"GET /live HTTP/1.1\r\nX: " + b"x" * 8192
    assert answer_to(address, request[:8193]).startswith(b"HTTP/1.1 431 ")
    assert answer_to(address).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"\xff\xff\r\n\r\n", b"POST /live HTTP/1.1\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_request_for_a_known_path_is_told_so(address: tuple[str, int], request_: bytes) -> None:
    assert answer_to(address, request_).startswith(b"HTTP/1.1 404 ")


def test_callers_that_have_gone_leave_nothing_behind(address: tuple[str, int]) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    assert answer_to(address).startswith(b"HTTP/1.1 200 OK")
    before = descriptors()
    for _ in range(200):
        connect(address).close()
        assert answer_to(address).startswith(b"HTTP/1.1 200 OK")
    assert descriptors() < before + CALLERS
