"""No pod can keep a content from arriving, and none waits for another one's slow stream."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from harness import Pod, ServerThread, announced
from harness.pods import content_of, details_of, reason_of
from harness.waiting import wait_until

from kharvest import spi
from kharvest.registry import open_store
from kharvest.server._announcement import Announced
from kharvest.server._clock import StoreClock
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._missing import FAILURES_BEFORE_SEVERAL, SEVERAL
from kharvest.spi import Content, Signature
from kharvest.wire import v2_pb2 as v2

MIB = 1024 * 1024
CONTENT = content_of(5, 3 * MIB)
FILE = announced("/var/changed", CONTENT)


def dripping(stop: threading.Event) -> Iterator[bytes]:
    """A byte now and then, each well within the time that an upload may stall."""
    while not stop.wait(0.1):
        yield b"x"


def test_an_upload_that_is_too_slow_is_ended_and_another_pod_is_asked() -> None:
    """It stalls at no time, but would take for ever."""
    huge = v2.File(path=FILE.path, md5=FILE.md5, sha256=FILE.sha256, size=2**39)
    stop = threading.Event()
    with (
        ServerThread("memory:", stall_seconds=1.0) as server,
        Pod(server.address, "slow") as slow,
        Pod(server.address, "honest") as honest,
        ThreadPoolExecutor(2) as threads,
    ):
        assert slow.answers(huge) == [v2.UPLOAD]
        upload = threads.submit(slow.upload, huge, dripping(stop))
        assert honest.answers(FILE) == [v2.UPLOAD]
        honest.upload(FILE, CONTENT)
        with pytest.raises(grpc.RpcError) as refusal:
            upload.result(30)
        stop.set()
        assert reason_of(refusal.value) == "STALLED"
        assert "bytes and the server waited" in details_of(refusal.value)


def test_a_content_that_takes_longer_than_it_should_is_asked_of_another_pod_too() -> None:
    """The first one is within every limit of its own; the others' patience ends nevertheless."""
    stop = threading.Event()
    with (
        ServerThread("memory:", patience_seconds=0.5, hold_seconds=0.3, min_upload_rate=1) as server,
        Pod(server.address, "slow") as slow,
        Pod(server.address, "honest") as honest,
        ThreadPoolExecutor(1) as threads,
    ):
        assert slow.answers(FILE) == [v2.UPLOAD]
        upload = threads.submit(slow.upload, FILE, dripping(stop))
        wait_until(lambda: honest.answers(FILE) == [v2.UPLOAD])
        assert not upload.done()
        honest.upload(FILE, CONTENT)
        assert upload.result(30).already_stored
        stop.set()
        assert honest.content(FILE.sha256) == CONTENT


def test_while_an_upload_waits_for_its_turn_its_time_does_not_run() -> None:
    """Sixteen slow uploads made the seventeenth wait, which was then blamed for standing still."""
    stop = threading.Event()
    files = [announced(f"/var/{number}", content_of(number, 2 * MIB)) for number in range(2)]
    with (
        ServerThread("memory:", max_uploads=1, stall_seconds=0.5, min_upload_rate=1) as server,
        Pod(server.address, "slow") as slow,
        Pod(server.address, "honest") as honest,
        ThreadPoolExecutor(2) as threads,
    ):
        assert slow.answers(files[0]) == [v2.UPLOAD]
        assert honest.answers(files[1]) == [v2.UPLOAD]
        upload = threads.submit(slow.upload, files[0], dripping(stop))
        wait_until(lambda: server.metric("kharvest_content_uploads") == 1)
        # It waits ten times as long as an upload may stall, until the slow one gives way.
        assert not honest.upload(files[1], content_of(1, 2 * MIB)).already_stored
        with pytest.raises(grpc.RpcError) as refusal:
            upload.result(30)
        stop.set()
        assert reason_of(refusal.value) == "OVERLOADED", refusal.value


def test_slow_uploads_do_not_keep_small_ones_waiting() -> None:
    stop = threading.Event()
    with ServerThread("memory:", max_uploads=2) as server, ExitStack() as pods, ThreadPoolExecutor(4) as threads:
        for number in range(4):
            pod = pods.enter_context(Pod(server.address, f"slow-{number}"))
            file = announced(f"/var/{number}", content_of(number, 2 * MIB))
            assert pod.answers(file) == [v2.UPLOAD]
            threads.submit(pod.upload, file, dripping(stop))
        with Pod(server.address, "small") as small:
            assert small.harvest_files({"/etc/a": b"a" * 1000}) == 1
        stop.set()


def test_a_pod_that_is_busy_uploading_loses_nothing_else_that_it_was_asked_for() -> None:
    files = {f"/var/{number}": content_of(number, 50_000) for number in range(6)}
    said = [announced(path, content) for path, content in files.items()]
    with ServerThread("memory:", ask_seconds=1.0) as server, Pod(server.address) as pod:
        assert pod.answers(*said) == [v2.UPLOAD] * len(said)

        def slowly(content: bytes) -> Iterator[bytes]:
            for start in range(0, len(content), 10_000):
                time.sleep(0.08)  # the subject of the test: all of them take longer than it may take to begin one
                yield content[start : start + 10_000]

        for file in said:
            assert not pod.upload(file, slowly(files[file.path])).already_stored


class Electorate:
    """Elections on a store in memory, and pods that want one content."""

    def __init__(self, executor: ThreadPoolExecutor, **settings: float) -> None:
        config = ServerConfig(store="memory:", **settings)  # type: ignore[arg-type]
        store = open_store("memory:")
        self.elections = Elections(store, executor, StoreClock(store.now_ns, 10), config)

    async def asks(self, pod: str, number: int = 0, seconds: float = 600) -> bool:
        file = Announced(Signature(f"/{number}", number.to_bytes(15) + b"m"), Content(bytes(32), b"m" * 16, 10))
        return bool(await self.elections.elect(spi.Pod("shop", pod), [file], seconds))

    def fails(self, pod: str, number: int = 0) -> None:
        signature = Signature(f"/{number}", number.to_bytes(15) + b"m")
        self.elections.failed(self.elections.begin(spi.Pod("shop", pod), signature))


def test_after_two_failures_several_pods_are_asked_at_once() -> None:
    async def play() -> None:
        with ThreadPoolExecutor(1) as executor:
            electorate = Electorate(executor)
            for number in range(FAILURES_BEFORE_SEVERAL):
                assert await electorate.asks(f"bad-{number}")
                assert not await electorate.asks("other")
                electorate.fails(f"bad-{number}")
            asked = [await electorate.asks(f"good-{number}") for number in range(SEVERAL + 1)]
            assert asked == [True] * SEVERAL + [False]

    asyncio.run(play())


def test_a_pod_that_did_not_deliver_is_asked_after_those_who_wait() -> None:
    async def play() -> None:
        with ThreadPoolExecutor(1) as executor:
            electorate = Electorate(executor)
            elections = electorate.elections
            assert await electorate.asks("bad")
            waiting = asyncio.create_task(
                elections.wait(spi.Pod("shop", "good"), [Signature("/0", bytes(15) + b"m")], 600)
            )
            await asyncio.sleep(0)  # let it begin to wait
            electorate.fails("bad")
            assert not await electorate.asks("bad")
            assert await waiting
            assert await electorate.asks("good")
            elections.end(elections.begin(spi.Pod("shop", "good"), Signature("/0", bytes(15) + b"m")))
            assert await electorate.asks("bad")  # nobody else wants to

    asyncio.run(play())


@pytest.mark.slow
def test_many_silent_pods_whose_turn_ends_at_once_stop_nobody() -> None:
    """10,000 of them stopped the event loop for 18 s: for each, all others were looked at."""
    pods = 5000

    async def play() -> float:
        with ThreadPoolExecutor(1) as executor:
            electorate = Electorate(executor)
            electorate.elections.start()
            loop = asyncio.get_running_loop()
            for number in range(pods):
                assert await electorate.asks(f"silent-{number}", number, seconds=0.01 if number == pods - 1 else 0.5)
            for election in list(electorate.elections._running):
                electorate.elections._asked.set(election, loop.time())
            longest, before = 0.0, loop.time()
            while electorate.elections._running:
                await asyncio.sleep(0.001)
                longest, before = max(longest, loop.time() - before), loop.time()
            await electorate.elections.close()
            return longest

    assert asyncio.run(play()) < 5.0
