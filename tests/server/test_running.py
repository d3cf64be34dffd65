"""A server says how it is, ends cleanly, slows down who asks too much, and survives a store that does not answer."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from harness import LegacyPod, Pod, ServerProcess, ServerThread, announced
from harness.disks import small_disk
from harness.pods import details_of, reason_of, trailing_of

from kharvest.server import CannotListen
from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire import v2_pb2 as v2


def test_health_and_reflection_answer(server: ServerThread) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not tell its methods
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        for service in ("", "kharvest.v2.Harvest", "kharvest.v2.Query", "kharvest.Kharvest"):
            reply = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (listed,) = reflection.ServerReflectionInfo(requests, timeout=10)
        names = {service.name for service in listed.list_services_response.service}
        assert {"kharvest.v2.Harvest", "kharvest.v2.Query", "kharvest.Kharvest", "grpc.health.v1.Health"} <= names


@pytest.mark.slow
def test_metrics_tell_what_was_moved_and_what_was_spared(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        page = f"127.0.0.1:{free.getsockname()[1]}"
    with ServerProcess(sqlite_url, "--metrics", page) as server:
        for name in ("web-1", "web-2", "web-3"):
            with Pod(server.address, name) as pod:
                pod.harvest_files({"/etc/a": b"12345"})
        with urllib.request.urlopen(f"http://{page}/metrics", timeout=10) as reply:
            text = reply.read().decode()
    assert "kharvest_uploaded_bytes_total 5.0" in text
    assert "kharvest_spared_bytes_total 10.0" in text
    assert 'kharvest_uploads_total{result="stored"} 1.0' in text
    assert 'kharvest_store_seconds_count{operation="append"}' in text


def test_without_a_host_it_listens_on_addresses_of_both_kinds() -> None:
    """A pod's address, and so what probes and Prometheus ask, may be of IPv4 or of IPv6."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as free:
        metrics = free.getsockname()[1]
    with ServerProcess("memory:", "--metrics", f":{metrics}", listen=":0") as server:
        port = server.address.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            with Pod(f"{host}:{port}") as pod:
                assert pod.references() == []
            with urllib.request.urlopen(f"http://{host}:{metrics}/metrics", timeout=10) as reply:
                assert reply.status == 200


def test_sigterm_answers_held_calls_and_exits_0(sqlite_url: str) -> None:
    file = announced("/etc/a", b"a")
    with (
        ServerProcess(sqlite_url) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
    ):
        assert first.answers(file) == [v2.UPLOAD]
        held = second.harvest.Announce.future(second.request(file), timeout=30)
        second.answers()  # a round trip behind it on the same connection: the server has it
        server.process.send_signal(signal.SIGTERM)
        assert list(held.result().answers) == [v2.PENDING]
        assert server.process.wait(10) == 0


def test_a_port_that_is_taken_is_an_error(server: ServerThread) -> None:
    with pytest.raises(CannotListen, match=server.address), ServerThread("memory:", listen=server.address):
        pass


def test_a_store_that_is_away_acknowledges_nothing_and_serves_again_when_it_is_back(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Somebody else's write lock on the file is an outage that ends."""
    with ServerThread(f"{sqlite_url}?timeout=1") as server, Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(grpc.RpcError) as refusal:
                pod.answers(announced("/etc/b", b"a"))
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
            assert reason_of(refusal.value) == "STORE_UNAVAILABLE"
            assert trailing_of(refusal.value)["grpc-retry-pushback-ms"] == "2000"
            assert len(pod.references()) == 1, "reading goes on"
            other.execute("ROLLBACK")
        assert pod.harvest_files({"/etc/b": b"a"}) == 0
        assert len(pod.references()) == 2


def test_a_full_disk_refuses_the_upload_and_serves_everyone_else(tmp_path: Path) -> None:
    big = bytes(8_000_000)
    file = announced("/var/big", big)
    with (
        small_disk(tmp_path / "disk", 6_000_000) as disk,
        ServerProcess(f"sqlite:///{disk}/store.db") as server,
        Pod(server.address) as pod,
    ):
        pod.harvest_files({"/etc/a": b"a"})
        assert pod.answers(file) == [v2.UPLOAD]
        with pytest.raises(grpc.RpcError) as refusal:
            pod.upload(file, big)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(refusal.value) == "STORE_FULL"
        assert "make room" in details_of(refusal.value)
        with Pod(server.address, "web-2") as other:
            assert other.harvest_files({"/etc/a": b"a", "/etc/b": b"b"}) == 1
            assert [one.file.path for one in other.files()] == ["/etc/a", "/etc/b"]


def test_callers_of_a_full_queue_wait_and_are_then_refused_with_a_time_to_retry(
    sqlite_url: str, tmp_path: Path
) -> None:
    """While the store is stuck, references queue up to the bound and no further."""
    files = [announced(f"/etc/{number}", b"a") for number in range(10)]
    with (
        ServerThread(f"{sqlite_url}?timeout=3", max_queued_references=10, busy_seconds=0.2) as server,
        Pod(server.address) as pod,
        ThreadPoolExecutor(8) as threads,
    ):
        pod.harvest_files({"/etc/a": b"a"})
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            calls = [threads.submit(pod.answers, *files) for _ in range(8)]
            refusals = [call.exception(20) for call in calls]
            other.execute("ROLLBACK")
        reasons = [reason_of(one) for one in refusals if isinstance(one, grpc.RpcError)]
        assert "OVERLOADED" in reasons
        assert pod.answers(*files) == [v2.ACKNOWLEDGED] * 10


def test_no_call_on_the_store_runs_on_the_event_loop(store_url: str) -> None:
    """One slow query on the loop would make everybody wait."""
    threads: dict[str, set[str]] = {}

    def observe(operation: str, _seconds: float, _error: object) -> None:
        threads.setdefault(operation, set()).add(threading.current_thread().name)

    server = ServerThread(store_url)
    server.server.metrics.observe_store = observe  # type: ignore[assignment]
    with server, Pod(server.address) as pod, LegacyPod(server.address) as old:
        pod.harvest_files({"/etc/a": b"a", "/etc/big": bytes(3_000_000)})
        (file,) = pod.files(path="/etc/big")
        pod.references()
        pod.content(file.file.sha256)
        old.store("/etc/b", b"b")
        old.user.Keys(Empty())
        old.user.PodReferences(legacy.PodIdentifier(podName="old-1", namespace="shop"))
    expected = {"put", "read", "present", "append", "known", "newest", "references", "files", "claim", "release"}
    assert expected <= threads.keys()
    assert "server" not in set().union(*(threads[operation] for operation in expected))
