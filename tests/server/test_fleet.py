"""Two hundred pods, twenty files: each distinct content crosses the network once, and nobody waits long for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import Pod, ServerProcess, content_of

PODS = 200
# Twenty files of 100 KB; the last four are equal to the first four, under other paths.
FILES = {f"/var/data/{number:02}": content_of(number % 16, 100_000) for number in range(20)}
DISTINCT = 16


class TimedPod(Pod):
    """Notes when its last upload ended."""

    last_upload = 0.0

    def upload(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        reply = super().upload(*arguments, **options)  # type: ignore[arg-type]
        self.last_upload = time.monotonic()
        return reply


@pytest.mark.slow
def test_each_distinct_content_is_uploaded_once_and_nobody_waits_long_for_it(sqlite_url: str) -> None:
    together = threading.Barrier(PODS)

    def harvest(address: str, number: int) -> tuple[int, float, float]:
        with TimedPod(address, f"web-{number}") as pod:
            together.wait(60)
            uploads = pod.harvest_files(FILES)
            return uploads, pod.last_upload, time.monotonic()

    with ServerProcess(sqlite_url) as server, Pod(server.address) as reader, ThreadPoolExecutor(PODS) as threads:
        task: Callable[[int], tuple[int, float, float]] = lambda number: harvest(server.address, number)  # noqa: E731
        uploads, last_uploads, ends = zip(*threads.map(task, range(PODS)), strict=True)
        assert sum(uploads) == DISTINCT
        assert len(reader.references()) == PODS * len(FILES)
        summaries = reader.files()
        assert {summary.pods for summary in summaries} == {PODS}
        assert {summary.file.path: reader.content(summary.file.sha256) for summary in summaries} == FILES
        assert max(ends) - max(last_uploads) < 1, "somebody waited longer than the upload itself plus a second"
