"""Acknowledged is durable: a server is killed at random moments under load, and everything acknowledged is found."""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from harness import Pod, ServerProcess, announced, content_of

from kharvest.wire import v2_pb2 as v2

KILLS = 20
PODS = 4
SEED = 20261123


@dataclass
class Witness:
    """What the pods were told is durable."""

    acknowledged: dict[tuple[str, str, bytes], bytes] = field(default_factory=dict)
    enough: threading.Event = field(default_factory=threading.Event)
    wanted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, pod: str, path: str, content: bytes) -> None:
        with self.lock:
            self.acknowledged[pod, path, hashlib.md5(content).digest()] = content
            if len(self.acknowledged) >= self.wanted:
                self.enough.set()


def load(address: str, name: str, round_: int, witness: Witness) -> None:
    """Announce and upload new versions, of files that all pods have and of a pod's own, until the server is gone."""
    versions = iter(range(10**6))
    with Pod(address, name) as pod:
        try:
            while True:
                version = next(versions)
                contents = {
                    "/etc/shared": content_of(round_ * 1000 + version, 2000),
                    f"/var/{name}": content_of(hash_of(name, round_, version), 300_000),
                }
                files = {path: announced(path, content) for path, content in contents.items()}
                left = list(files.values())
                while left:
                    answers = pod.answers(*left, timeout=10)
                    for file, answer in zip(left, answers, strict=True):
                        if answer == v2.UPLOAD:
                            pod.upload(file, contents[file.path], timeout=10, chunk_bytes=50_000)
                        if answer != v2.PENDING:
                            witness.add(name, file.path, contents[file.path])
                    left = [file for file, answer in zip(left, answers, strict=True) if answer == v2.PENDING]
        except grpc.RpcError:
            return


def hash_of(name: str, round_: int, version: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name} {round_} {version}".encode()).digest()[:6])


@pytest.mark.slow
def test_every_acknowledged_reference_and_content_survives_sigkill(sqlite_url: str) -> None:
    chance = random.Random(SEED)
    witness = Witness()
    for round_ in range(KILLS):
        witness.wanted = len(witness.acknowledged) + chance.randrange(1, 40)
        witness.enough.clear()
        with ServerProcess(sqlite_url) as server, ThreadPoolExecutor(PODS) as threads:
            loads = [threads.submit(load, server.address, f"web-{n}", round_, witness) for n in range(PODS)]
            assert witness.enough.wait(60), "the load made no progress"
            threading.Event().wait(chance.random() * 0.02)  # the moment is to be random: anywhere in the next commits
            server.kill()
            for one in loads:
                one.result(60)
    with ServerProcess(sqlite_url) as server, Pod(server.address) as reader:
        contents: dict[bytes, bytes] = {}
        found = set()
        request = v2.ReferencesRequest(limit=1000)
        while True:
            reply = reader.query.References(request, timeout=30)
            for reference in reply.references:
                found.add((reference.pod.name, reference.file.path, reference.file.md5))
                sha256 = reference.file.sha256
                contents.setdefault(sha256, reader.content(sha256))
                assert hashlib.sha256(contents[sha256]).digest() == sha256
            if not reply.next_cursor:
                break
            request.cursor = reply.next_cursor
        assert witness.acknowledged.keys() <= found
        assert set(witness.acknowledged.values()) <= set(contents.values())
