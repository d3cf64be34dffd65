"""Two hundred pods, twenty files: each distinct content crosses the network once, and nobody waits long for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from harness import Pod, ServerProcess, announced, content_of

from kharvest.wire import v2_pb2 as v2

PODS = 200
# Twenty files of 100 KB; the last four are equal to the first four, under other paths.
FILES = {f"/var/data/{number:02}": content_of(number % 16, 100_000) for number in range(20)}
DISTINCT = 16
STALL_SECONDS = 2.0


class TimedPod(Pod):
    """Notes when its last upload ended."""

    last_upload = 0.0

    def upload(self, *arguments: object, **options: object) -> v2.UploadReply:
        reply = super().upload(*arguments, **options)  # type: ignore[arg-type]
        self.last_upload = time.monotonic()
        return reply


class FaultyPod:
    """Is asked for everything first, begins to upload one content, and then dies or stalls."""

    def __init__(self, address: str, *, dies: bool) -> None:
        self._dies = dies
        self._begun, self._over = threading.Event(), threading.Event()
        self._threads = ThreadPoolExecutor(1)
        self._pod = Pod(address, "faulty")
        files = [announced(path, content) for path, content in FILES.items()]
        assert self._pod.answers(*files).count(v2.UPLOAD) == DISTINCT
        self._upload = self._threads.submit(self._pod.upload, files[0], self._chunks())
        assert self._begun.wait(30)

    def fail(self) -> None:
        """Die, as a pod that is killed; or go on saying nothing."""
        if self._dies:
            self._pod.__exit__(None, None, None)

    def close(self) -> None:
        self._over.set()
        assert isinstance(self._upload.exception(30), grpc.RpcError)
        self._pod.__exit__(None, None, None)
        self._threads.shutdown()

    def _chunks(self) -> Iterator[bytes]:
        yield FILES["/var/data/00"][:50_000]
        self._begun.set()
        self._over.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("first_uploader", ["works", "dies", "stalls"])
def test_each_distinct_content_is_uploaded_once_and_nobody_waits_long_for_it(
    sqlite_url: str, first_uploader: str
) -> None:
    together = threading.Barrier(PODS + 1)

    def harvest(number: int) -> tuple[int, float, float]:
        with TimedPod(server.address, f"web-{number}") as pod:
            together.wait(60)
            uploads = pod.harvest_files(FILES)
            return uploads, pod.last_upload, time.monotonic()

    with (
        ServerProcess(sqlite_url, f"--stall-seconds={STALL_SECONDS}") as server,
        Pod(server.address) as reader,
        ThreadPoolExecutor(PODS) as threads,
        ExitStack() as faults,
    ):
        harvests = [threads.submit(harvest, number) for number in range(PODS)]
        if first_uploader != "works":
            faulty = FaultyPod(server.address, dies=first_uploader == "dies")
            faults.callback(faulty.close)
        together.wait(60)
        if first_uploader != "works":
            faulty.fail()
        uploads, last_uploads, ends = zip(*(one.result(120) for one in harvests), strict=True)
        assert sum(uploads) == DISTINCT
        summaries = reader.files()
        assert {summary.pods for summary in summaries} == {PODS}
        assert {summary.file.path: reader.content(summary.file.sha256) for summary in summaries} == FILES
        assert len(reader.references()) == PODS * len(FILES)
        assert max(ends) - max(last_uploads) < 1, "somebody waited longer than the upload itself plus a second"
