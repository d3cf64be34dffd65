"""Small contents go many in one call; each ends as it would have ended alone, and none waits for a large one."""

# The arguments of a servicer are the protocol's.
# ruff: noqa: ARG001, ARG002
from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from client.scripted import BATCHES, Context, ScriptedServer, ask_for_all, receive_batch, refuse
from client.watched import config, until
from kharvest.client import Client, harvest_once
from kharvest.wire import v2_pb2 as v2


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Fifty small files."""
    paths = [tmp_path / f"{number:02}" for number in range(50)]
    for path in paths:
        path.write_text(f"content of {path.name}")
    return paths


class Batches:
    """Takes batches in as a good server does, but for what `refused` says of a path, once; and keeps what came."""

    def __init__(self, refused: dict[str, v2.Reason.ValueType] | None = None, pushback_ms: int = 0) -> None:
        self.contents: list[tuple[str, bytes | None]] = []
        self.sizes: list[int] = []
        self._refused = dict(refused or {})
        self._pushback_ms = pushback_ms
        self._lock = threading.Lock()

    def __call__(self, request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        reply = v2.UploadBatchReply()
        with self._lock:
            self.sizes.append(len(request.contents))
            for index, one in enumerate(request.contents):
                self.contents.append((one.file.path, one.content if one.HasField("content") else None))
                reason = self._refused.pop(one.file.path, None)
                if reason is None and one.HasField("content"):
                    reply.arrivals.append(v2.STORED)
                else:
                    reply.arrivals.append(v2.NOT_STORED)
                    reply.refusals.add(index=index, reason=reason or v2.CONTENT_MISMATCH, message="no")
                    reply.retry_after_ms = self._pushback_ms
        return reply


def test_many_small_files_take_few_calls(files: list[Path]) -> None:
    batches = Batches()
    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=batches) as server:
        summary = harvest_once(config(server.address, files), timeout=30)
    assert (summary.acknowledged, summary.uploaded) == (50, 50)
    assert summary.uploaded_bytes == sum(path.stat().st_size for path in files)
    assert dict(batches.contents) == {str(path): path.read_bytes() for path in files}
    assert len(batches.sizes) <= 10


@pytest.mark.parametrize("reason", [v2.NOT_ASKED, v2.STALLED, v2.STORE_UNAVAILABLE, v2.CONTENT_MISMATCH])
def test_what_is_turned_down_of_a_batch_is_announced_again_and_the_rest_is_not(
    files: list[Path], reason: v2.Reason.ValueType
) -> None:
    batches = Batches({str(files[7]): reason})
    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=batches) as server:
        assert harvest_once(config(server.address, files), timeout=30).acknowledged == 50
        assert len(server.announced(str(files[7]))) == 2
        assert {len(server.announced(str(path))) for path in files if path != files[7]} == {1}


def test_what_is_refused_of_a_batch_is_told_and_not_announced_again(files: list[Path]) -> None:
    batches = Batches({str(files[7]): v2.CONFLICT})
    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=batches) as server:
        summary = harvest_once(config(server.address, files), timeout=30)
        assert len(server.announced(str(files[7]))) == 1
    assert (summary.acknowledged, summary.refused) == (49, 1)
    assert [(one.path, one.reason) for one in summary.failures] == [(str(files[7]), "CONFLICT")]


def test_what_is_turned_down_comes_back_no_earlier_than_the_server_asks(files: list[Path]) -> None:
    batches = Batches({str(files[7]): v2.STORE_UNAVAILABLE}, pushback_ms=600)
    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=batches) as server:
        with Client(config(server.address, files)) as client:
            until(lambda: client.status().acknowledged == 49, "the others to be acknowledged")
            assert len(server.announced(str(files[7]))) == 1
            assert client.flush(10)
        assert len(server.announced(str(files[7]))) == 2


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_batch_that_fails_is_announced_again(files: list[Path], code: grpc.StatusCode) -> None:
    batches, failed = Batches(), threading.Event()

    def fail_once(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        if not failed.is_set():
            failed.set()
            refuse(context, code, pushback_ms=100)
        return batches(request, context)

    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=fail_once) as server:
        assert harvest_once(config(server.address, files), timeout=30).acknowledged == 50
    assert {path for path, _content in batches.contents} == {str(path) for path in files}


def test_an_answer_that_is_missing_is_asked_for_again(files: list[Path]) -> None:
    answers = [v2.UploadBatchReply()]

    def forget_once(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        return answers.pop() if answers else receive_batch(request, context)

    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=forget_once) as server:
        assert harvest_once(config(server.address, files), timeout=30).acknowledged == 50


def test_a_file_that_changes_before_it_is_sent_goes_without_its_bytes_and_starts_over(files: list[Path]) -> None:
    batches, changed = Batches(), threading.Event()

    def change_then_ask(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if not changed.is_set():
            changed.set()
            files[0].write_text("something else by now")
        return ask_for_all(request, context)

    with ScriptedServer(change_then_ask, limits=BATCHES, upload_batch=batches) as server:
        assert harvest_once(config(server.address, files[:1]), timeout=30).acknowledged == 1
    assert batches.contents == [(str(files[0]), None), (str(files[0]), b"something else by now")]


def test_a_change_while_its_batch_is_under_way_is_announced_after_it(files: list[Path]) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def slow(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        under_way.set()
        assert go_on.wait(20)
        return receive_batch(request, context)

    with (
        ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=slow) as server,
        Client(config(server.address, files[:1])) as client,
    ):
        assert under_way.wait(10)
        files[0].write_text("newer")
        go_on.set()
        server.wait_for(lambda: [one.size for one in server.announced(str(files[0]))][-1:] == [5], "the newer version")
        assert client.flush(10)


def test_batches_keep_within_the_server_s_limits(files: list[Path], tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(3000))
    running, most, bytes_, streamed = [0], [0], [0], [0]
    lock = threading.Lock()

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        streamed.append(sum(len(request.chunk) for request in requests))
        return v2.UploadReply()

    def upload_batch(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            bytes_[0] = max(bytes_[0], sum(len(one.content) for one in request.contents))
        reply = receive_batch(request, context)
        with lock:
            running[0] -= 1
        return reply

    limits = v2.Limits(max_files=7, max_content_bytes=10_000, max_chunk_bytes=64, max_uploads=1, max_batch_bytes=100)
    with ScriptedServer(ask_for_all, upload, limits, upload_batch) as server:
        assert harvest_once(config(server.address, [*files, large]), timeout=30).uploaded == 51
    assert most[0] == 1
    assert 0 < bytes_[0] <= 100
    assert streamed[1:] == [3000]


def test_small_files_do_not_wait_for_large_ones(files: list[Path], tmp_path: Path) -> None:
    large = [tmp_path / f"large-{number}" for number in range(6)]
    for path in large:
        path.write_bytes(bytes(2_000_000))
    go_on = threading.Event()

    def stuck(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        assert go_on.wait(30)
        for _ in requests:
            pass
        return v2.UploadReply()

    with (
        ScriptedServer(ask_for_all, stuck, BATCHES) as server,
        Client(config(server.address, [*large, *files])) as client,
    ):
        until(lambda: client.status().acknowledged == 50, "the small files to be acknowledged")
        go_on.set()
        assert client.flush(20)


def test_over_a_slow_link_batches_get_smaller(tmp_path: Path) -> None:
    """What the server asks for has to be there within seconds: a link that takes long for much is given little."""
    files = [tmp_path / f"{number:02}" for number in range(8)]
    for path in files:
        path.write_bytes(path.name.encode() * 50_000)
    sizes: list[int] = []
    slow = threading.Event()

    def take_long(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        sizes.append(sum(len(one.content) for one in request.contents))
        slow.wait(2.2)  # the subject of the test: longer than a batch should take
        return receive_batch(request, context)

    with ScriptedServer(ask_for_all, limits=BATCHES, upload_batch=take_long) as server:
        assert harvest_once(config(server.address, files), timeout=60).acknowledged == 8
    assert max(sizes) > 100_000
    assert max(sizes[-2:]) == 100_000
