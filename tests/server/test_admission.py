"""Limits hold before memory is taken, and nobody's calls keep others from being answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2
from harness import LegacyPod, Pod, ServerProcess, ServerThread, announced
from harness.pods import content_of, details_of, reason_of
from harness.raw import ANNOUNCE, UPLOAD, RawPeer
from harness.waiting import wait_until

from kharvest.server._serving import LIVENESS, SERVICES
from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire import v2_pb2 as v2

MIB = 1024 * 1024
EMPTY_FILE = b"\x1a\x00"  # an empty message in the field `files` of an AnnounceRequest


def is_healthy(address: str, service: str = "") -> bool:
    with RawPeer(address) as peer:
        asked = health_pb2.HealthCheckRequest(service=service).SerializeToString()
        reply = health_pb2.HealthCheckResponse.FromString(peer.send("/grpc.health.v1.Health/Check", asked))
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


# What a message may be ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_compressed_message_is_refused_and_costs_no_memory() -> None:
    """28 KiB of gzip stood for 28 MB of empty files, which took more than 1 GiB as objects."""
    bomb = EMPTY_FILE * 14_000_000
    with ServerProcess("memory:") as server, RawPeer(server.address) as peer, Pod(server.address) as other:
        before = server.resident_bytes(peak=True)
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refusal:
                peer.send(ANNOUNCE, bomb, compressed=True)
            assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert server.resident_bytes(peak=True) - before < 40 * MIB
        assert other.answers(announced("/a", b"a")) == [v2.UPLOAD]


def test_a_message_of_many_empty_messages_is_refused_before_they_are_objects() -> None:
    message = EMPTY_FILE * (4 * MIB // 2)
    with ServerProcess("memory:") as server, RawPeer(server.address) as peer:
        before = server.resident_bytes(peak=True)
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as refusal:
                peer.send(ANNOUNCE, message)
            assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "more than 20000 fields" in details_of(refusal.value)
        assert server.resident_bytes(peak=True) - before < 40 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("size", [5 * MIB, 100 * MIB])
def test_a_large_message_of_v2_is_refused(size: int) -> None:
    """The port's limit is that of the original protocol; those of v2 hold 4 MiB."""
    with ServerProcess("memory:") as server, ExitStack() as peers, ThreadPoolExecutor(8) as threads:
        many = [peers.enter_context(RawPeer(server.address)) for _ in range(8)]
        calls = [threads.submit(peer.send, ANNOUNCE, bytes(size)) for peer in many]
        for call in calls:
            with pytest.raises(grpc.RpcError) as refusal:
                call.result(60)
            assert refusal.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert server.resident_bytes(peak=True) < 300 * MIB


@pytest.mark.parametrize(
    "message", [b"\xff", b"\x1a\xff\x01", b"\x0a\x03abc", bytes(100)], ids=lambda one: one[:4].hex()
)
@pytest.mark.parametrize("method", [ANNOUNCE, UPLOAD, "/kharvest.Kharvest/Store", "/kharvest.v2.Query/References"])
def test_what_cannot_be_decoded_is_an_invalid_argument(method: str, message: bytes) -> None:
    with ServerThread("memory:") as server, RawPeer(server.address) as peer:
        with pytest.raises(grpc.RpcError) as refusal:
            peer.send(method, message)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(refusal.value) == "INVALID"


def test_what_cannot_be_decoded_leaves_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with ServerThread("memory:") as server, RawPeer(server.address) as peer:
        for _ in range(50):
            with pytest.raises(grpc.RpcError):
                peer.send(ANNOUNCE, b"\xff\xff")
    assert not [record for record in caplog.records if record.exc_info or record.name.startswith("grpc")]


# What many may hold ---------------------------------------------------------------------------------------------------


def test_uploads_without_a_header_lock_nobody_out() -> None:
    with (
        ServerThread("memory:", max_streams=60, message_seconds=60) as server,
        ExitStack() as peers,
        Pod(server.address) as honest,
    ):
        for _ in range(4):
            peer = peers.enter_context(RawPeer(server.address))
            for _call in range(20):
                peer.begin(UPLOAD)
        file = announced("/var/a", content_of(1, 100_000))
        assert is_healthy(server.address)
        assert honest.answers(file) == [v2.UPLOAD]
        honest.upload(file, content_of(1, 100_000))
        assert honest.content(file.sha256) == content_of(1, 100_000)


def test_an_upload_without_a_header_ends() -> None:
    with ServerThread("memory:", message_seconds=0.3) as server, RawPeer(server.address) as peer:
        call = peer.begin(UPLOAD)
        with pytest.raises(grpc.RpcError) as refusal:
            next(call)
        assert reason_of(refusal.value) == "OVERLOADED"


def test_messages_that_do_not_end_keep_nobody_from_being_read() -> None:
    """Each holds a seat in which a message is read, and gives it back to those who wait."""
    with (
        ServerThread("memory:", message_seconds=600) as server,
        ExitStack() as peers,
        Pod(server.address) as honest,
    ):
        for _ in range(20):
            peers.enter_context(RawPeer(server.address)).begin(ANNOUNCE)
        assert honest.answers(announced("/a", b"a"), timeout=60) == [v2.UPLOAD]
        assert is_healthy(server.address)


@pytest.mark.slow
def test_metadata_under_way_takes_bounded_memory() -> None:
    """800 callers with the largest metadata took 1 GiB."""
    metadata = {f"{key}".ljust(317, "k"): "v" * 4096 for key in range(64)}
    with ServerProcess("memory:", "--max-memory-bytes=134217728") as server, ExitStack() as pods:
        before = server.resident_bytes(peak=True)
        many = [pods.enter_context(Pod(server.address, f"web-{number}", metadata=metadata)) for number in range(100)]
        files = [announced(f"/etc/{number}", b"x") for number in range(4)]
        calls = [pod.harvest.Announce.future(pod.request(*files), timeout=60) for pod in many for _ in range(4)]
        failures = {call.code() for call in calls} - {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert not failures
        assert server.resident_bytes(peak=True) - before < 134217728 * 1.5


@pytest.mark.slow
def test_held_announcements_take_bounded_memory() -> None:
    """What finds no room is not held, and told to come again."""
    files = [announced(f"/{'p' * 4000}/{number}", b"%d" % number) for number in range(500)]
    with (
        ServerProcess(
            "memory:", "--max-memory-bytes=67108864", "--max-message-bytes=4194304", "--ask-seconds=600"
        ) as server,
        Pod(server.address, "first") as first,
        ExitStack() as pods,
    ):
        first.announce(*files)
        before = server.resident_bytes(peak=True)
        many = [pods.enter_context(Pod(server.address, f"web-{number}")) for number in range(20)]
        calls = [pod.harvest.Announce.future(pod.request(*files), timeout=60) for pod in many]
        pending = sum(set(call.result().answers) == {v2.PENDING} for call in calls)
        assert pending == len(many)
        assert server.resident_bytes(peak=True) - before < 67108864 * 2


def test_contents_that_nobody_reads_take_bounded_memory_and_stop_no_reader() -> None:
    content = content_of(7, 8 * MIB)
    file = announced("/var/big", content)
    with (
        ServerProcess("memory:", "--max-memory-bytes=67108864", "--max-message-bytes=4194304") as server,
        Pod(server.address) as pod,
        ExitStack() as peers,
    ):
        pod.harvest_files({file.path: content})
        before = server.resident_bytes(peak=True)
        for _ in range(30):
            idle = peers.enter_context(Pod(server.address))
            idle.query.Content(v2.ContentRequest(sha256=file.sha256), timeout=120)
        with Pod(server.address) as reader:
            replies = reader.query.Content(v2.ContentRequest(sha256=file.sha256), timeout=120)
            assert b"".join(reply.chunk for reply in replies) == content
        assert server.resident_bytes(peak=True) - before < 67108864


def test_a_reader_that_takes_nothing_for_long_is_told_so_when_it_goes_on() -> None:
    content = content_of(7, 8 * MIB)
    with ServerThread("memory:", read_seconds=0.3) as server, Pod(server.address) as pod:
        pod.harvest_files({"/var/big": content})
        replies = pod.query.Content(v2.ContentRequest(sha256=announced("/", content).sha256), timeout=60)
        wait_until(lambda: server.metric("kharvest_content_readers") == 1)
        wait_until(lambda: server.metric("kharvest_content_readers") == 0)
        with pytest.raises(grpc.RpcError) as refusal:
            list(replies)
        assert reason_of(refusal.value) == "OVERLOADED"


@pytest.mark.slow
def test_original_contents_larger_than_the_port_allows_have_a_port_of_their_own() -> None:
    content = content_of(3, 40 * MIB)
    with (
        ServerThread("memory:", listen_original="127.0.0.1:0") as server,
        LegacyPod(server.address) as near,
        LegacyPod(server.original_address) as pod,
    ):
        assert pod.notify("/var/big", content) == legacy.NotifyReply.STORE_REQUESTED
        with pytest.raises(grpc.RpcError) as refusal:
            near.store("/var/big", content)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        pod.store("/var/big", content)
        assert near.notify("/var/big", content) == legacy.NotifyReply.ACK
        assert is_healthy(server.original_address)


# Before the store is open ---------------------------------------------------------------------------------------------


def test_every_service_has_its_health(server: ServerThread) -> None:
    assert all(is_healthy(server.address, name) for name in ("", LIVENESS, *SERVICES))


def test_headers_that_never_come_do_not_delay_the_end() -> None:
    with ExitStack() as peers, ServerThread("memory:", grace_seconds=0.5, message_seconds=600) as server:
        for method in (UPLOAD, ANNOUNCE):
            peer = peers.enter_context(RawPeer(server.address))
            for _ in range(5):
                peer.begin(method)
        is_healthy(server.address)
        # Leaving the block took the grace period, or the test would hang.


@pytest.mark.slow
def test_a_storm_of_calls_is_answered_and_none_is_cancelled() -> None:
    """Of more than 1,000 that wait to be accepted gRPC cancels some at random; original clients do not try again."""
    with ServerProcess("memory:") as server, ExitStack() as pods:
        first = pods.enter_context(LegacyPod(server.address))
        first.notify("/etc/a", b"a")
        first.store("/etc/a", b"a")
        many = [pods.enter_context(LegacyPod(server.address, f"old-{number}")) for number in range(8)]
        said = first.signature("/etc/a", b"a")
        calls = [pod.harvest.Notify.future(said, timeout=240) for _ in range(500) for pod in many]
        assert {call.result().action for call in calls} == {legacy.NotifyReply.ACK}
