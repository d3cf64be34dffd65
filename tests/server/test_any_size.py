"""A content of any size goes through in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from harness import Pod, ServerProcess
from harness.servers import resident_bytes

from kharvest.wire import v2_pb2 as v2

MIB = 1024 * 1024
SIZE = 2 * 1024 * MIB


def chunks() -> Iterator[bytes]:
    for number in range(SIZE // MIB):
        yield number.to_bytes(8) * (MIB // 8)


@pytest.mark.slow
def test_2_gib_go_up_and_down_with_less_than_150_mb(sqlite_url: str) -> None:
    sha256, md5 = hashlib.sha256(), hashlib.md5()
    for chunk in chunks():
        sha256.update(chunk)
        md5.update(chunk)
    file = v2.File(path="/var/core", md5=md5.digest(), sha256=sha256.digest(), size=SIZE)
    with ServerProcess(sqlite_url) as server, Pod(server.address) as pod:
        assert pod.answers(file) == [v2.UPLOAD]
        pod.upload(file, chunks(), timeout=200)
        assert pod.answers(file) == [v2.ACKNOWLEDGED]
        seen = hashlib.sha256()
        for reply in pod.query.Content(v2.ContentRequest(sha256=file.sha256), timeout=200):
            seen.update(reply.chunk)
        assert seen.digest() == file.sha256
        assert resident_bytes(server.process.pid, peak=True) < 150_000_000
