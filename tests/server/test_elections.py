"""One pod uploads each content; when it dies, stalls or never begins, another one is asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest
from harness import Pod, ServerProcess, ServerThread, announced
from harness.pods import details_of, reason_of
from harness.waiting import wait_until_held

from kharvest import spi
from kharvest.registry import open_store
from kharvest.registry._guarded import GuardedStore
from kharvest.server._announcement import Announced
from kharvest.server._clock import StoreClock, steady_ns
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.spi import Signature, StoreUnavailable
from kharvest.wire import v2_pb2 as v2

CONTENT = b"x" * 300_000
FILE = announced("/var/dump", CONTENT)


def test_when_the_uploader_dies_midway_another_pod_is_asked(store_url: str) -> None:
    with ServerThread(store_url) as server, Pod(server.address, "web-2") as second, ThreadPoolExecutor(2) as threads:
        halfway, dead = threading.Event(), threading.Event()

        def half() -> Iterator[bytes]:
            yield CONTENT[:100_000]
            halfway.set()
            dead.wait(30)

        with Pod(server.address, "web-1") as first:
            assert first.answers(FILE) == [v2.UPLOAD]
            held = threads.submit(second.answers, FILE)
            wait_until_held(server, 1)
            upload = threads.submit(first.upload, FILE, half())
            assert halfway.wait(10)
        # Leaving the block closed the connection, as a killed pod does.
        assert held.result(5) == [v2.UPLOAD]
        dead.set()
        with pytest.raises(grpc.RpcError):
            upload.result(10)
        assert second.references() == []
        second.upload(FILE, CONTENT)
        assert second.content(FILE.sha256) == CONTENT


def test_when_the_upload_stalls_another_pod_is_asked(store_url: str) -> None:
    with (
        ServerThread(store_url, stall_seconds=0.5) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
        ThreadPoolExecutor(2) as threads,
    ):
        done = threading.Event()

        def stalling() -> Iterator[bytes]:
            yield CONTENT[:100_000]
            done.wait(30)

        assert first.answers(FILE) == [v2.UPLOAD]
        stalled = threads.submit(first.upload, FILE, stalling())
        assert second.answers(FILE) == [v2.UPLOAD]
        second.upload(FILE, CONTENT)
        with pytest.raises(grpc.RpcError) as refusal:
            stalled.result(10)
        done.set()
        assert reason_of(refusal.value) in {"STALLED", "NOT_ASKED"}
        # It lost nothing by that: what it announces is known by now.
        assert first.answers(FILE) == [v2.ACKNOWLEDGED]


def test_a_slow_upload_that_makes_progress_keeps_its_election(store_url: str) -> None:
    """The original asked a second pod after 2 s. Here progress counts, not time."""
    with (
        ServerThread(store_url, stall_seconds=0.6, lease_seconds=0.5, ask_seconds=0.5) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):

        def slowly() -> Iterator[bytes]:
            for start in range(0, len(CONTENT), 30_000):
                time.sleep(0.2)  # the subject of the test: ten chunks, each well within the stall time
                yield CONTENT[start : start + 30_000]

        assert first.answers(FILE) == [v2.UPLOAD]
        upload = threads.submit(first.upload, FILE, slowly())
        while not upload.done():
            assert v2.UPLOAD not in second.answers(FILE, timeout=1.5)
        assert not upload.result().already_stored
        assert server.metric("kharvest_uploads_total", result="stored") == 1


def test_a_pod_that_never_begins_is_replaced(store_url: str) -> None:
    with (
        ServerThread(store_url, ask_seconds=0.5) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
    ):
        assert first.answers(FILE) == [v2.UPLOAD]
        assert second.answers(FILE) == [v2.UPLOAD]


def test_an_upload_that_nobody_asked_for_is_refused(server: ServerThread) -> None:
    with Pod(server.address) as pod, pytest.raises(grpc.RpcError) as refusal:
        pod.upload(FILE, CONTENT)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refusal.value) == "NOT_ASKED"
    assert "/var/dump" in details_of(refusal.value)
    assert "announce it again" in details_of(refusal.value)


def test_an_upload_that_another_pod_was_asked_for_is_refused(server: ServerThread) -> None:
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        assert first.answers(FILE) == [v2.UPLOAD]
        with pytest.raises(grpc.RpcError) as refusal:
            second.upload(FILE, CONTENT)
        assert reason_of(refusal.value) == "NOT_ASKED"
        first.upload(FILE, CONTENT)


def test_an_upload_of_what_is_there_already_succeeds_without_its_bytes(server: ServerThread) -> None:
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        first.harvest_files({FILE.path: CONTENT})
        assert second.upload(FILE, []).already_stored
        assert {reference.pod.name for reference in second.references()} == {"web-1", "web-2"}


def test_two_servers_of_one_store_ask_one_pod(sqlite_url: str) -> None:
    with (
        ServerThread(sqlite_url) as one,
        ServerThread(sqlite_url) as other,
        Pod(one.address, "web-1") as first,
        Pod(other.address, "web-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        assert first.answers(FILE) == [v2.UPLOAD]
        held = threads.submit(second.answers, FILE)
        wait_until_held(other, 1)
        first.upload(FILE, CONTENT)
        assert held.result(10) == [v2.ACKNOWLEDGED]
        assert {reference.pod.name for reference in first.references()} == {"web-1", "web-2"}


def test_what_another_server_stores_before_the_claim_is_won_is_not_asked_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server stores it, and releases its claim, after we looked for the content and before we claim it."""
    claim = GuardedStore.claim

    def late(store: GuardedStore, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        if holder == "shop/web-2":
            first.upload(FILE, CONTENT)
            while not claim(store, keys, holder, now_ns, until_ns):
                time.sleep(0.005)  # the other server is about to release it
        return claim(store, keys, holder, now_ns, until_ns)

    monkeypatch.setattr(GuardedStore, "claim", late)
    with (
        ServerThread(sqlite_url) as one,
        ServerThread(sqlite_url) as other,
        Pod(one.address, "web-1") as first,
        Pod(other.address, "web-2") as second,
    ):
        assert first.answers(FILE) == [v2.UPLOAD]
        assert second.answers(FILE) == [v2.ACKNOWLEDGED]


@pytest.mark.slow
def test_when_another_server_dies_its_claim_expires(sqlite_url: str) -> None:
    with (
        ServerProcess(sqlite_url, "--lease-seconds=1", "--ask-seconds=1") as dying,
        ServerThread(sqlite_url) as other,
        Pod(dying.address, "web-1") as first,
        Pod(other.address, "web-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        assert first.answers(FILE) == [v2.UPLOAD]
        held = threads.submit(second.answers, FILE)
        wait_until_held(other, 1)
        dying.kill()
        assert held.result(10) == [v2.UPLOAD]


def test_a_claim_that_fails_late_ends_nobody_else_s_election(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a claim is under way the content may come by another way, and be lacking again: a new election begins."""
    asked, failing = threading.Event(), threading.Event()
    store = open_store("memory:")
    claim = store.claim

    def late(keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        if holder != "shop/first":
            return claim(keys, holder, now_ns, until_ns)
        asked.set()
        failing.wait(20)
        raise StoreUnavailable("the test took it away")

    monkeypatch.setattr(store, "claim", late)

    async def play() -> None:
        with ThreadPoolExecutor(2) as executor:
            elections = Elections(store, executor, StoreClock(store.now_ns, 10), ServerConfig(store="memory:"))
            signature = Signature("/a", b"m" * 16)
            file = Announced(signature, None)
            first = asyncio.create_task(elections.elect(spi.Pod("shop", "first"), [file], 10))
            await asyncio.to_thread(asked.wait, 20)
            elections.arrived(signature.md5)
            assert await elections.elect(spi.Pod("shop", "second"), [file], 10) == {signature}
            failing.set()
            with pytest.raises(StoreUnavailable):
                await first
            assert elections.begin(spi.Pod("shop", "second"), signature).pod.name == "second"

    asyncio.run(play())


def _steady_at(offset_ns: int) -> int:
    return steady_ns() + offset_ns


def test_servers_whose_clocks_are_an_hour_apart_have_one_election() -> None:
    """Leases go by the store's clock: one server's would have ended before they began, another's never."""
    hour_ns = 3600 * 10**9
    store = open_store("memory:")
    file = Announced(Signature("/a", b"m" * 16), None)

    async def play() -> None:
        with ThreadPoolExecutor(1) as executor:
            config = ServerConfig(store="memory:", lease_seconds=0.3, poll_seconds=0.05)
            behind, ahead = (
                Elections(store, executor, StoreClock(store.now_ns, 10, partial(_steady_at, by)), config)
                for by in (-hour_ns, hour_ns)
            )
            pods = (spi.Pod("shop", "first"), spi.Pod("shop", "second"))
            assert await behind.elect(pods[0], [file], 0.3) == {file.signature}
            assert await ahead.elect(pods[1], [file], 0.3) == set()
            # The first server is dead from here on: nothing extends its claim.
            ahead.start()
            while not await ahead.elect(pods[1], [file], 0.3):
                await ahead.wait(pods[1], [file.signature], 10)
            await ahead.close()

    asyncio.run(asyncio.wait_for(play(), 60))
