"""Small contents come many in one call, each with its own answer; what is stored is durable with its reference."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from harness import Pod, ServerThread, announced, removal
from harness.pods import details_of, reason_of
from harness.waiting import wait_until_held

from kharvest.registry import _guarded as guarded
from kharvest.server._config import MAX_UPLOAD_BATCH_BYTES
from kharvest.spi import Content, StoreFull
from kharvest.wire import v2_pb2 as v2

FILES = {f"/etc/{number}": b"%d\n" % number for number in range(200)}


def reasons(reply: v2.UploadBatchReply) -> dict[int, str]:
    return {refusal.index: v2.Reason.Name(refusal.reason) for refusal in reply.refusals}


@pytest.mark.slow
def test_all_of_a_batch_is_stored_and_recorded(server: ServerThread) -> None:
    with Pod(server.address, metadata={"app": "web"}) as pod:
        files = [announced(path, content) for path, content in FILES.items()]
        assert pod.answers(*files) == [v2.UPLOAD] * len(files)
        reply = pod.upload_batch(*zip(files, FILES.values(), strict=True))
        assert list(reply.arrivals) == [v2.STORED] * len(files)
        assert list(reply.refusals) == []
        references = pod.references(latest=True)
        assert {one.file.path: pod.content(one.file.sha256) for one in references} == FILES
        assert all(dict(one.metadata) == {"app": "web"} for one in references)
        assert server.metric("kharvest_uploads_total", result="stored") == len(files)
        assert server.metric("kharvest_uploaded_bytes_total") == sum(map(len, FILES.values()))


def test_a_batch_is_one_commit_of_references(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        files = [announced(path, content) for path, content in FILES.items()]
        pod.announce(*files)
        before = server.metric("kharvest_store_seconds_count", operation="append")
        pod.upload_batch(*zip(files, FILES.values(), strict=True))
        assert server.metric("kharvest_store_seconds_count", operation="append") == before + 1


def test_a_content_may_be_empty_or_as_large_as_a_batch(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        for content in (b"", bytes(MAX_UPLOAD_BATCH_BYTES)):
            file = announced(f"/etc/{len(content)}", content)
            assert pod.answers(file) == [v2.UPLOAD]
            assert list(pod.upload_batch((file, content)).arrivals) == [v2.STORED]
            assert pod.content(file.sha256) == content
            assert pod.answers(file) == [v2.ACKNOWLEDGED]


def test_what_is_refused_of_a_batch_does_not_touch_the_rest(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        wrong, longer, unasked = (announced(f"/etc/{name}", name.encode()) for name in ("wrong", "longer", "unasked"))
        good, changed, empty = (announced(f"/etc/{name}", name.encode()) for name in ("good", "changed", "empty"))
        pod.announce(wrong, longer, good, changed, empty)
        reply = pod.upload_batch(
            (wrong, b"gnorw"),
            (good, b"good"),
            (longer, b"longer than it was"),
            (removal("/etc/gone"), b""),
            (v2.File(path="relative", md5=good.md5, sha256=good.sha256, size=good.size), b"good"),
            (unasked, b"unasked"),
            (changed, None),
            (empty, None),
            (good, b"good"),
        )
        assert list(reply.arrivals) == [v2.NOT_STORED, v2.STORED, *[v2.NOT_STORED] * 7]
        assert reasons(reply) == {
            0: "CONTENT_MISMATCH",
            2: "CONTENT_MISMATCH",
            3: "INVALID",
            4: "INVALID",
            5: "NOT_ASKED",
            6: "CONTENT_MISMATCH",
            7: "CONTENT_MISMATCH",
            8: "INVALID",
        }
        assert [one.file.path for one in pod.references()] == ["/etc/good"]


def test_what_arrived_from_elsewhere_is_recorded_and_told(server: ServerThread) -> None:
    file, other = announced("/etc/a", b"equal"), announced("/etc/b", b"equal")
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        first.harvest_files({"/etc/a": b"equal"})
        reply = second.upload_batch((file, b"equal"), (other, b"equal"))
        assert list(reply.arrivals) == [v2.ALREADY_STORED, v2.ALREADY_STORED]
        assert {(one.pod.name, one.file.path) for one in first.references()} == {
            ("web-1", "/etc/a"),
            ("web-2", "/etc/a"),
            ("web-2", "/etc/b"),
        }


def test_when_a_file_has_changed_another_pod_is_asked_at_once(server: ServerThread) -> None:
    file = announced("/etc/a", b"a")
    with (
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        assert first.answers(file) == [v2.UPLOAD]
        held = threads.submit(second.answers, file)
        wait_until_held(server, 1)
        first.upload_batch((file, None))
        assert held.result(5) == [v2.UPLOAD]


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        pytest.param(
            [(announced(f"/etc/{n}", bytes([n]) * 2**18), bytes([n]) * 2**18) for n in range(5)],
            ("INVALID", "1310720 bytes"),
            id="too many bytes",
        ),
        pytest.param([(announced(f"/{n}", b""), b"") for n in range(1001)], ("TOO_MANY_FILES", "1001"), id="too many"),
    ],
)
def test_a_batch_over_a_limit_is_refused_and_the_pod_stays_asked(
    server: ServerThread, contents: list[tuple[v2.File, bytes]], told: tuple[str, str]
) -> None:
    with Pod(server.address) as pod:
        limits = pod.harvest.GetLimits(v2.GetLimitsRequest())
        assert (limits.max_batch_bytes, limits.max_files) == (MAX_UPLOAD_BATCH_BYTES, 1000)
        file = contents[0][0]
        assert pod.answers(file) == [v2.UPLOAD]
        with pytest.raises(grpc.RpcError) as refusal:
            pod.upload_batch(*contents)
        assert reason_of(refusal.value) == told[0]
        assert told[1] in details_of(refusal.value)
        assert list(pod.upload_batch(contents[0]).arrivals) == [v2.STORED]


def test_a_store_that_fails_for_one_content_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    put = guarded.GuardedStore.put

    def no_room_for_the_large(store: guarded.GuardedStore, content: Content, chunks: Iterable[bytes]) -> None:
        if content.size > 1000:
            raise StoreFull("the test says so")
        put(store, content, chunks)

    monkeypatch.setattr(guarded.GuardedStore, "put", no_room_for_the_large)
    small, large = announced("/etc/small", b"s"), announced("/etc/large", bytes(2000))
    with ServerThread("memory:") as server, Pod(server.address) as pod:
        pod.announce(large, small)
        reply = pod.upload_batch((large, bytes(2000)), (small, b"s"))
        assert list(reply.arrivals) == [v2.NOT_STORED, v2.STORED]
        assert reasons(reply) == {0: "STORE_FULL"}
        assert reply.retry_after_ms > 0
        monkeypatch.undo()
        assert pod.answers(large) == [v2.UPLOAD]  # its election ended, and nobody has to wait for it


def test_a_slow_store_ends_no_election(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod whose bytes are here is not at fault, however long the store takes."""
    put, putting, go_on = guarded.GuardedStore.put, threading.Event(), threading.Event()

    def slow(store: guarded.GuardedStore, content: Content, chunks: Iterable[bytes]) -> None:
        putting.set()
        assert go_on.wait(30)
        put(store, content, chunks)

    monkeypatch.setattr(guarded.GuardedStore, "put", slow)
    first_file, other_file = announced("/etc/first", bytes(1000)), announced("/etc/other", bytes(1001))
    with (
        ServerThread("memory:", stall_seconds=0.2) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        first.announce(first_file)
        second.announce(other_file)
        uploading = threads.submit(first.upload_batch, (first_file, bytes(1000)))
        assert putting.wait(10)
        assert second.answers(first_file, timeout=2) == [v2.PENDING]  # ten times as long as an upload may stall
        assert second.answers(other_file) == [v2.UPLOAD]
        go_on.set()
        assert list(uploading.result(10).arrivals) == [v2.STORED]
        assert list(second.upload_batch((other_file, bytes(1001))).arrivals) == [v2.STORED]


def test_when_the_pod_dies_with_its_batch_another_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    put, putting, go_on = guarded.GuardedStore.put, threading.Event(), threading.Event()

    def slow(store: guarded.GuardedStore, content: Content, chunks: Iterable[bytes]) -> None:
        putting.set()
        assert go_on.wait(30)
        put(store, content, chunks)

    monkeypatch.setattr(guarded.GuardedStore, "put", slow)
    sent, next_one = announced("/etc/sent", b"sent"), announced("/etc/next", b"next")
    with ServerThread("memory:") as server, Pod(server.address, "web-2") as second, ThreadPoolExecutor(2) as threads:
        with Pod(server.address, "web-1") as first:
            first.announce(sent, next_one)
            held = threads.submit(second.answers, next_one)
            wait_until_held(server, 1)
            uploading = threads.submit(first.upload_batch, (sent, b"sent"))
            assert putting.wait(10)
        assert held.result(5) == [v2.UPLOAD]
        go_on.set()
        with pytest.raises(grpc.RpcError):
            uploading.result(10)
