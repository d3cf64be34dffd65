"""Several servers on one store: each content is uploaded once, to one of them, and none is missed when it is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import grpc
import pytest
from harness import Pod, ServerProcess, announced, content_of
from harness.real import OWN, RealServers

from kharvest.registry import open_store
from kharvest.wire import v2_pb2 as v2

PODS = 400
# Ten files; the last two are equal to the first two, under other paths.
FILES = {f"/var/data/{number}": content_of(number % 8, 20_000 + 1000 * (number % 8)) for number in range(10)}
DISTINCT = 8
BIG = content_of(1, 3_000_000)
BIG_FILE = announced("/var/dump", BIG)
LEASE_SECONDS = 1.5
# A pod of this test uploads one content after the other, on a machine that may be slow: none is to be taken for dead.
PATIENT = ("--ask-seconds=90", "--stall-seconds=90", "--busy-seconds=90")
PATIENCE_SECONDS = 300.0
"""When this test gives up: some hundred pods and a database share two cores with other tests."""


@contextmanager
def replicas(store: str, count: int, *arguments: str) -> Iterator[list[ServerProcess]]:
    with ExitStack() as running:
        yield [running.enter_context(ServerProcess(store, *arguments)) for _replica in range(count)]


def stored(store: str) -> dict[bytes, bytes]:
    """Every content of the store, by its SHA-256."""
    with closing(open_store(store)) as opened:
        digests = [content.sha256 for content in opened.contents()]
        assert len(set(digests)) == len(digests)
        return {digest: b"".join(opened.read(digest)) for digest in digests}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("count", [2, 4])
def test_over_several_servers_each_content_is_uploaded_once(kind: str, count: int, real_servers: RealServers) -> None:
    together = threading.Barrier(PODS)

    def harvest(address: str, number: int) -> int:
        with CountingPod(address, f"web-{number}", call_seconds=PATIENCE_SECONDS) as pod:
            together.wait(PATIENCE_SECONDS)
            pod.harvest_files(FILES)
            return pod.uploads

    with (
        real_servers.get(kind).place() as store,
        replicas(store, count, *PATIENT) as servers,
        ThreadPoolExecutor(PODS) as threads,
    ):
        harvests = [threads.submit(harvest, servers[number % count].address, number) for number in range(PODS)]
        assert sum(one.result(PATIENCE_SECONDS) for one in harvests) == DISTINCT
        for server in servers:
            with Pod(server.address, call_seconds=PATIENCE_SECONDS) as reader:
                assert {one.file.path: one.pods for one in reader.files()} == dict.fromkeys(FILES, PODS)
                assert len(reader.references()) == PODS * len(FILES)
        assert sorted(stored(store).values()) == sorted(set(FILES.values()))


class CountingPod(Pod):
    """Counts the uploads that it began, whatever became of them."""

    uploads = 0

    def upload(self, *arguments: object, **options: object) -> v2.UploadReply:
        self.uploads += 1
        return super().upload(*arguments, **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_when_a_server_is_killed_while_it_receives_another_pod_uploads(kind: str, real_servers: RealServers) -> None:
    """And what it acknowledged before is there, and nothing is stored twice."""
    limits = (f"--lease-seconds={LEASE_SECONDS}", f"--ask-seconds={LEASE_SECONDS}")
    halfway, over = threading.Event(), threading.Event()

    def half() -> Iterator[bytes]:
        yield BIG[:500_000]
        yield BIG[500_000:1_000_000]
        halfway.set()
        over.wait(60)

    with (
        real_servers.get(kind).place() as store,
        replicas(store, 2, *limits) as (killed, left),
        ThreadPoolExecutor(2) as threads,
        Pod(killed.address, "web-1") as first,
        Pod(left.address, "web-2") as second,
    ):
        first.harvest_files(FILES)
        assert first.answers(BIG_FILE) == [v2.UPLOAD]
        upload = threads.submit(first.upload, BIG_FILE, half(), chunk_bytes=500_000)
        assert halfway.wait(30)
        assert second.answers(BIG_FILE, timeout=1.5) == [v2.PENDING], "the first one's upload goes on"
        killed.kill()
        assert until_asked(second) == [v2.UPLOAD]
        assert not second.upload(BIG_FILE, BIG).already_stored
        assert_broken(upload, over)

        paths = {one.file.path for one in second.references() if one.pod.name == "web-1"}
        assert paths == FILES.keys(), "what the killed server acknowledged is lost"
        assert sorted(stored(store).values()) == sorted({*FILES.values(), BIG})
        # The pod of the killed server goes to another one, which knows all it has.
        with Pod(left.address, "web-1") as again:
            everything = [announced(path, content) for path, content in FILES.items()]
            assert set(again.answers(*everything, BIG_FILE)) == {v2.ACKNOWLEDGED}


def until_asked(pod: Pod) -> list[v2.Answer.ValueType]:
    """The answer, when it is no longer that somebody else uploads. The server holds each call: this does not spin."""
    answers = [v2.PENDING]
    while answers == [v2.PENDING]:
        answers = pod.answers(BIG_FILE, timeout=20)
    return answers


def assert_broken(upload: Future[v2.UploadReply], over: threading.Event) -> None:
    over.set()
    assert isinstance(upload.exception(30), grpc.RpcError)
