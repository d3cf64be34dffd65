"""What crosses a network, and what comes of it when the network and the server fail.

Each test has a cluster in small of its own: real clients and a real server, on addresses of their own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.network import network, require
from cluster.processes import Cluster, md5, newest, until

pytestmark = pytest.mark.slow

logger = logging.getLogger(__name__)

MB = 10**6
DUMP = "/var/lib/app/threads.dump"
OWN = "/var/lib/app/own.conf"
REMOVED = bytes(16)


def content(seed: int, size: int) -> bytes:
    """Bytes that nothing can compress, the same in every run."""
    return random.Random(seed).randbytes(size)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    """Makes a cluster of so many pods."""
    with ExitStack() as exits:
        yield lambda pods: Cluster(exits.enter_context(network(pods)), tmp_path)


def test_a_content_in_twenty_pods_crosses_the_network_once(cluster: Callable[[int], Cluster]) -> None:
    pods, dump = 20, content(1, 10 * MB)
    small = cluster(pods)
    for pod in range(pods):
        small.write(pod, DUMP, dump)
    with small.server() as server, small.reader() as reader:
        with ExitStack() as clients:
            for pod in range(pods):
                clients.enter_context(small.client(pod, DUMP))
            until(lambda: len(newest(reader, DUMP)) == pods, "all pods", *small.logs())
        # The clients have gone, with all that they had to say.
        crossed = small.network.server.crossed_bytes()
        references = reader.references()
        logger.info("%d bytes crossed for %d pods with %d bytes each", crossed, pods, len(dump))
        assert {(one.pod.namespace, one.pod.name) for one in references} == {("shop", f"web-{n}") for n in range(pods)}
        assert len(references) == pods
        for reference in references:
            assert dict(reference.metadata) == {"app": "web", "pod-template-hash": "5d7f8", "node": "node-1"}
            assert reference.file.md5 == md5(dump)
        assert reader.content(references[0].file.sha256) == dump
        assert len(dump) < crossed < 1.1 * len(dump) + 2000 * pods
        assert server.stop() == 0


def test_a_pod_whose_link_is_cut_while_it_uploads_holds_up_nobody_and_comes_back(
    cluster: Callable[[int], Cluster],
) -> None:
    pods, dump = 3, content(2, 8 * MB)
    small = cluster(pods)
    require("tc")
    for pod in range(pods):
        small.write(pod, DUMP, dump)
        small.network.pods[pod].slow_down(4 * MB)
    with small.server(stall_seconds=1, ask_seconds=2), small.reader() as reader, ExitStack() as clients:
        for pod in range(pods):
            clients.enter_context(small.client(pod, DUMP))

        def uploading() -> list[int]:
            return [pod for pod in range(pods) if small.network.pods[pod].sent_bytes() > MB]

        until(lambda: bool(uploading()), "an upload", *small.logs())
        (cut,) = uploading()
        small.network.pods[cut].cut()
        assert newest(reader, DUMP) == {}  # it was cut midway
        others = {f"web-{pod}": md5(dump) for pod in range(pods) if pod != cut}
        until(lambda: newest(reader, DUMP) == others, "the others", *small.logs())
        small.network.pods[cut].heal()
        until(
            lambda: newest(reader, DUMP) == {**others, f"web-{cut}": md5(dump)}, "the pod that was cut", *small.logs()
        )
        references = reader.references()
        assert len(references) == pods
        assert reader.content(references[0].file.sha256) == dump


def test_five_percent_of_packets_lost_lose_nothing(cluster: Callable[[int], Cluster]) -> None:
    pods, dump = 4, content(3, 2 * MB)
    small = cluster(pods)
    require("nft")
    for node in (small.network.server, *small.network.pods):
        node.lose(5)
    for pod in range(pods):
        small.write(pod, DUMP, dump)
        small.write(pod, OWN, f"pod {pod}".encode())
    with small.server(), small.reader() as reader:
        with ExitStack() as clients:
            for pod in range(pods):
                clients.enter_context(small.client(pod, DUMP, OWN))
            until(lambda: set(newest(reader, DUMP).values()) == {md5(dump)}, "the dump", *small.logs())
            newer = content(4, MB)
            for pod in range(pods):
                small.write(pod, DUMP, newer)
            everywhere = {f"web-{pod}": md5(newer) for pod in range(pods)}
            until(lambda: newest(reader, DUMP) == everywhere, "the newer dump", *small.logs())
            own = {f"web-{pod}": md5(f"pod {pod}".encode()) for pod in range(pods)}
            until(lambda: newest(reader, OWN) == own, "the pods' own files", *small.logs())
        at_the_server, *at_the_pods = [node.lost_packets() for node in (small.network.server, *small.network.pods)]
        logger.info("packets lost at the server: %d, at the pods: %s", at_the_server, at_the_pods)
        assert at_the_server
        assert sum(at_the_pods)
        for summary in reader.files():
            assert md5(reader.content(summary.file.sha256)) == summary.file.md5


def test_a_server_that_is_killed_while_it_receives_ends_with_what_the_pods_have(
    cluster: Callable[[int], Cluster],
) -> None:
    pods, dump = 3, content(5, 6 * MB)
    small = cluster(pods)
    require("tc")
    for pod in range(pods):
        small.write(pod, DUMP, dump)
        small.write(pod, OWN, b"the same")
        small.network.pods[pod].slow_down(3 * MB)
    with ExitStack() as clients:
        with small.server() as server, small.reader() as reader:
            for pod in range(pods):
                clients.enter_context(small.client(pod, DUMP, OWN))
            same = {f"web-{pod}": md5(b"the same") for pod in range(pods)}
            until(lambda: newest(reader, OWN) == same, "the small file", *small.logs())
            until(lambda: small.network.server.crossed_bytes() > 2 * MB, "an upload", *small.logs())
            assert newest(reader, DUMP) == {}
            server.kill()
        # While nobody serves, one pod's file changes, and another's goes away.
        small.write(0, OWN, b"changed")
        (small.root(1) / OWN.lstrip("/")).unlink()
        with small.server(), small.reader() as reader:
            right = {"web-0": md5(b"changed"), "web-1": REMOVED, "web-2": md5(b"the same")}
            until(lambda: newest(reader, OWN) == right, "the files as they are now", *small.logs())
            everywhere = {f"web-{pod}": md5(dump) for pod in range(pods)}
            until(lambda: newest(reader, DUMP) == everywhere, "the dump", *small.logs())
            # History tells each change once, whatever was announced again.
            assert len(reader.references(path=OWN)) == pods + 2
            for summary in reader.files():
                assert md5(reader.content(summary.file.sha256)) == summary.file.md5
            clients.close()
