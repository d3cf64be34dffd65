"""Every client of ours connects alike: directly unless told otherwise, and not for ever to what does not answer."""

from __future__ import annotations

import http.server
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import ServerThread

from kharvest.cli.main import run
from kharvest.client import Client, ClientConfig, ConfigurationError, harvest_once
from kharvest.query import QueryClient
from kharvest.query._errors import ServerUnavailable

SLACK_SECONDS = 8.0
"""For a machine that is doing other work. Without a limit of ours, gRPC would wait 20 s."""


class Proxy:
    """An HTTP proxy that knows CONNECT, and what it was asked to connect to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                near, _address = self._listening.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            wanted = head.split(b" ")[1].decode()
            self.asked.append(wanted)
            host, _, port = wanted.rpartition(":")
            far = socket.create_connection((host, int(port)))
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for end in self._ends:
            end.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with ServerThread("memory:") as running:
        yield running


def harvest(server: str, file: Path, proxy: str | None = None) -> int:
    config = ClientConfig(server=server, proxy=proxy, pod="web-1", paths=(str(file),), settle_seconds=0.01)
    return harvest_once(config, timeout=30).acknowledged


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_the_proxy_variables_of_the_environment_are_not_followed(
    server: ServerThread, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    (tmp_path / "file").touch()
    assert harvest(server.address, tmp_path / "file") == 1
    with QueryClient(server.address) as client:
        assert len(list(client.references())) == 1
    assert proxy.asked == []


def test_a_proxy_that_is_named_is_used(server: ServerThread, proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert harvest(server.address, tmp_path / "file", proxy.url) == 1
    with QueryClient(server.address, proxy=proxy.url) as client:
        assert len(list(client.references())) == 1
    assert run(["references", "--server", server.address, "--proxy", proxy.url]) == 0
    # gRPC may keep the connection of the client before for the command: both have the same address and options.
    assert proxy.asked in ([server.address] * 2, [server.address] * 3)


@pytest.mark.parametrize("url", ["proxy:3128", "https://proxy:3128", "http://proxy", ""])
def test_what_is_no_url_of_a_proxy_is_refused_where_grpc_would_ignore_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"proxy: it is not the URL of an HTTP proxy; give http://HOST:PORT"):
        ClientConfig(server="localhost", pod="web-1", proxy=url)
    assert run(["files", "--proxy", url]) == 2
    assert "give http://HOST:PORT" in capsys.readouterr().err


def test_a_proxy_s_password_is_not_shown() -> None:
    config = ClientConfig(server="localhost", pod="web-1", proxy="http://user:secret@proxy:3128")
    assert "secret" not in repr(config)
    with pytest.raises(ConfigurationError) as raised:
        ClientConfig(server="localhost", pod="web-1", proxy="https://user:secret@proxy:3128")
    assert "secret" not in str(raised.value)


def test_without_a_port_the_server_is_asked_at_its_default_port() -> None:
    assert ClientConfig(server="localhost", pod="web-1").server == "localhost:50051"
    with pytest.raises(ConfigurationError, match=r"server: 'http://host' is a URL"):
        ClientConfig(server="http://host", pod="web-1")


@contextmanager
def mute_port() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def http_port() -> Iterator[str]:
    """A port of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


class Told(logging.Handler):
    """Hears when the client warns of the server."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warned = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self.warned.set()


@pytest.fixture
def told() -> Iterator[Told]:
    told, logger = Told(), logging.getLogger("kharvest.client._send")
    logger.addHandler(told)
    yield told
    logger.removeHandler(told)


@pytest.mark.parametrize("port", [mute_port, http_port])
def test_a_port_that_does_not_speak_our_protocol_is_reported_within_seconds(
    port: object, told: Told, tmp_path: Path
) -> None:
    assert callable(port)
    with port() as address:
        started = time.monotonic()
        with Client(ClientConfig(server=address, pod="web-1", paths=(str(tmp_path / "file"),))) as client:
            assert told.warned.wait(5 + SLACK_SECONDS)
            assert client.status().failure is not None
            client.close(0)
        started = time.monotonic()
        with QueryClient(address) as query, pytest.raises(ServerUnavailable, match=address):
            list(query.references())
        assert time.monotonic() - started < 5 + SLACK_SECONDS
