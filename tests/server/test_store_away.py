"""The store's server goes away and comes back: nothing is acknowledged in vain, nothing is lost, nobody restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from harness import Pod, ServerProcess, announced, content_of
from harness.pods import pieces, reason_of
from harness.real import OWN, RealServers

from kharvest.client import Client, ClientConfig
from kharvest.wire import v2_pb2 as v2

FILES = {f"/etc/{number}": content_of(number, 1000) for number in range(5)}
BIG = content_of(1, 3_000_000)
BIG_FILE = announced("/var/dump", BIG)
PATIENCE_SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_a_store_that_goes_away_is_told_and_served_again_when_it_is_back(kind: str, real_servers: RealServers) -> None:
    real = real_servers.get(kind)
    with real.place() as store, ServerProcess(store) as server, Pod(server.address) as pod:
        pod.harvest_files(FILES)
        before = pod.references()
        assert pod.answers(BIG_FILE) == [v2.UPLOAD]
        halfway, away = threading.Event(), threading.Event()

        def broken_off() -> Iterator[bytes]:
            yield BIG[:500_000]
            halfway.set()
            assert away.wait(PATIENCE_SECONDS)
            yield from pieces(BIG[500_000:], 500_000)

        with ThreadPoolExecutor(1) as threads:
            upload = threads.submit(pod.upload, BIG_FILE, broken_off(), timeout=PATIENCE_SECONDS)
            assert halfway.wait(PATIENCE_SECONDS)
            with real.away():
                away.set()
                for call in (upload.result, lambda: pod.answers(announced("/etc/new", b"new")), pod.references):
                    with refused_as_unavailable():
                        call()
        assert pod.references() == before, "what was acknowledged is there, and nothing that was not"
        assert pod.harvest_files({"/etc/new": b"new", "/var/dump": BIG}) == 2
        assert pod.content(BIG_FILE.sha256) == BIG


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_what_a_client_sees_while_the_store_is_away_is_harvested_when_it_is_back(
    kind: str, real_servers: RealServers, tmp_path: Path
) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_text(f"first {number}")
    real = real_servers.get(kind)
    with (
        real.place() as store,
        ServerProcess(store) as server,
        Client(
            ClientConfig(
                server=server.address, namespace="shop", pod="web-1", directories=(str(tmp_path),), settle_seconds=0.1
            )
        ) as client,
    ):
        assert client.flush(PATIENCE_SECONDS)
        with real.away():
            (tmp_path / "3").write_text("second 3")
            (tmp_path / "4").unlink()
            (tmp_path / "new").write_text("new")
            assert not client.flush(2), "acknowledged by a server that has no store"
        assert client.flush(PATIENCE_SECONDS)
        with Pod(server.address) as reader:
            newest = {Path(one.file.path).name: one.file for one in reader.references(latest=True)}
            assert reader.content(newest["3"].sha256) == b"second 3"
            assert reader.content(newest["new"].sha256) == b"new"
            assert newest["4"].md5 == bytes(16)
            assert len(reader.references()) == 20 + 3


@contextmanager
def refused_as_unavailable() -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as refusal:
        yield
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(refusal.value) == "STORE_UNAVAILABLE"
    assert time.monotonic() - started < 30, "an outage is told, not waited for"
