"""A store that is away is said once, when it goes and when it is back; readiness follows, liveness does not."""

from __future__ import annotations

import http.client
import logging
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from harness import Pod, ServerProcess, ServerThread, announced
from harness.pods import details_of, reason_of
from harness.raw import RawPeer
from harness.real import RealServers
from harness.waiting import wait_until

from kharvest.server._metrics_page import MAX_CONNECTIONS
from kharvest.server._serving import LIVENESS


def is_serving(address: str, service: str = "") -> bool:
    with RawPeer(address) as peer:
        asked = health_pb2.HealthCheckRequest(service=service).SerializeToString()
        reply = health_pb2.HealthCheckResponse.FromString(peer.send("/grpc.health.v1.Health/Check", asked))
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def test_a_store_that_is_away_and_back_is_logged_once_each_and_readiness_follows(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kharvest.server")
    with ServerThread(f"{sqlite_url}?timeout=1") as server, Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        assert is_serving(server.address)
        assert server.metric("kharvest_store_up") == 1
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(5):
                with pytest.raises(grpc.RpcError) as refusal:
                    pod.answers(announced(f"/etc/{number}", b"a"))
                assert reason_of(refusal.value) == "STORE_UNAVAILABLE"
                assert str(tmp_path) not in details_of(refusal.value), "where the store is, is not for clients"
            assert not is_serving(server.address)
            assert is_serving(server.address, LIVENESS)
            assert server.metric("kharvest_store_up") == 0
            other.execute("ROLLBACK")
        wait_until(lambda: is_serving(server.address))
        assert pod.harvest_files({"/etc/b": b"a"}) == 0
    said = [record.getMessage() for record in caplog.records if record.name == "kharvest.server._availability"]
    assert len(said) == 2
    assert said[0].startswith("the store is away")
    assert said[1].startswith("the store is back")


@pytest.mark.slow
def test_a_server_waits_for_a_database_that_is_away_at_its_start(real_servers: RealServers, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    real = real_servers.get("postgresql")
    with real.place() as store, ThreadPoolExecutor(1) as threads:
        with real.away():
            starting = threads.submit(ServerProcess, store, listen=address, log=log)
            wait_until(lambda: log.exists() and "waiting for the store" in log.read_text())
            assert is_serving(address, LIVENESS)
            assert not is_serving(address)
            with Pod(address) as pod, pytest.raises(grpc.RpcError) as refusal:
                pod.answers(announced("/a", b"a"))
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "is starting" in details_of(refusal.value)
        with starting.result(120) as server, Pod(server.address) as pod:
            assert is_serving(address)
            assert pod.harvest_files({"/etc/a": b"a"}) == 1
    assert log.read_text().count("waiting for the store") <= 3


@pytest.mark.slow
def test_a_server_that_waits_for_its_store_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    command = ("-m", "kharvest", "server", "--listen=127.0.0.1:0", f"--store=postgresql://a@127.0.0.1:{port}/a")
    with log.open("wb") as stderr, subprocess.Popen([sys.executable, *command], stderr=stderr) as server:
        wait_until(lambda: "waiting for the store" in log.read_text())
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


@pytest.mark.slow
def test_a_store_that_stays_away_ends_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    store = f"postgresql://a@127.0.0.1:{port}/a"
    command = (sys.executable, "-m", "kharvest", "server", f"--store={store}", "--start-seconds=0.1")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 6
    assert "Traceback" not in ended.stderr


def test_a_store_that_is_not_durable_says_so_at_start(caplog: pytest.LogCaptureFixture) -> None:
    with ServerThread("memory:"):
        assert "not durable" in caplog.text


# The page with the metrics --------------------------------------------------------------------------------------------


def test_silent_connections_do_not_keep_the_metrics_from_being_read() -> None:
    """Each of them took a thread, for ever."""
    with ServerThread("memory:", metrics="127.0.0.1:0") as server, ExitStack() as silent:
        port = server.server.metrics_port
        assert port is not None
        for _ in range(MAX_CONNECTIONS + 10):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))

        def is_answered() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
                    return b"kharvest_store_up" in reply.read()
            except (OSError, http.client.HTTPException):
                return False  # turned away while all places are taken, which ends by itself

        wait_until(is_answered)


def test_a_slow_request_for_metrics_is_ended() -> None:
    with ServerThread("memory:", metrics="127.0.0.1:0") as server:
        port = server.server.metrics_port
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", port or 0), timeout=60) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            assert slow.recv(100) == b""
        assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"x" * 20_000 + b"\r\n\r\n", b"\xff\r\n\r\n"]
)
def test_odd_requests_for_metrics_do_not_disturb_it(request_: bytes) -> None:
    with ServerThread("memory:", metrics="127.0.0.1:0") as server:
        port = server.server.metrics_port
        with socket.create_connection(("127.0.0.1", port or 0), timeout=60) as odd:
            odd.sendall(request_)
            with suppress(ConnectionResetError):
                assert b"200" not in odd.recv(1000)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
            assert reply.status == 200
