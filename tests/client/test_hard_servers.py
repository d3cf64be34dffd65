"""Whatever a server does, every file ends up acknowledged, and nothing is repeated in vain."""

# The arguments of a servicer are the protocol's.
# ruff: noqa: ARG001
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import grpc
import pytest

from client.scripted import BATCHES, LIMITS, Context, ScriptedServer, acknowledge, ask_for_all, receive, refuse
from client.watched import config, until
from kharvest.client import Client, harvest_once
from kharvest.client._once import GivenUp
from kharvest.wire import v2_pb2 as v2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    return path


def first_time(events: list[float]) -> bool:
    """Whether this is the first call; remembers when each came."""
    events.append(time.monotonic())
    return len(events) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        (grpc.StatusCode.UNAVAILABLE, ""),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL"),
        (grpc.StatusCode.INTERNAL, "STORE_FAILED"),
        (grpc.StatusCode.CANCELLED, ""),
    ],
)
def test_a_call_that_fails_is_made_again_no_earlier_than_the_server_asks(
    file: Path, code: grpc.StatusCode, reason: str
) -> None:
    calls: list[float] = []

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if first_time(calls):
            refuse(context, code, reason, pushback_ms=400)
        return acknowledge(request, context)

    with ScriptedServer(announce) as server:
        assert harvest_once(config(server.address, [file]), timeout=30).acknowledged == 1
    assert len(calls) == 2
    assert calls[1] - calls[0] >= 0.4


def test_what_is_pending_is_announced_again_when_the_server_says(file: Path) -> None:
    calls: list[float] = []

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if first_time(calls):
            return v2.AnnounceReply(answers=[v2.PENDING], retry_after_ms=300)
        return acknowledge(request, context)

    with ScriptedServer(announce) as server:
        assert harvest_once(config(server.address, [file]), timeout=30).acknowledged == 1
    assert 0.25 <= calls[1] - calls[0] < 1.5


def test_what_is_refused_is_announced_again_only_when_it_changes(file: Path) -> None:
    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        refusal = v2.Refusal(index=0, reason=v2.CONFLICT, message="another SHA-256 is known")
        return v2.AnnounceReply(answers=[v2.REFUSED], refusals=[refusal])

    with ScriptedServer(announce) as server, Client(config(server.address, [file])) as client:
        assert not client.flush(10)
        assert not client.flush(10)
        status = client.status()
        assert (status.refused, status.pending) == (1, 0)
        assert status.problems[0].reason == "CONFLICT"
        assert len(server.announced(str(file))) == 1
        server.announce = acknowledge
        file.write_text("other content")
        server.wait_for(lambda: len(server.announced(str(file))) == 2, "the changed file")
        assert client.flush(10)


@pytest.mark.parametrize("reason", ["NOT_ASKED", "STALLED", "STORE_UNAVAILABLE"])
def test_an_upload_that_is_turned_down_is_announced_again(file: Path, reason: str) -> None:
    uploads: list[float] = []

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        if first_time(uploads):
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, reason, pushback_ms=0)
        return receive(requests, context)

    with ScriptedServer(ask_for_all, upload) as server:
        summary = harvest_once(config(server.address, [file]), timeout=30)
        assert len(server.requests) == 2
    assert (summary.acknowledged, summary.uploaded, len(uploads)) == (1, 1, 2)


def test_an_upload_that_did_not_match_is_read_again(file: Path) -> None:
    uploads: list[float] = []

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        if first_time(uploads):
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH")
        return receive(requests, context)

    with ScriptedServer(ask_for_all, upload) as server:
        assert harvest_once(config(server.address, [file]), timeout=30).acknowledged == 1
    assert len(uploads) == 2


def test_a_reply_before_the_last_chunk_is_a_success(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(50_000_000))

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        next(requests)
        next(requests)
        return v2.UploadReply(already_stored=True)

    with ScriptedServer(ask_for_all, upload) as server:
        summary = harvest_once(config(server.address, [large]), timeout=30)
    assert (summary.acknowledged, summary.uploaded) == (1, 0)
    assert summary.uploaded_bytes < 50_000_000


def test_an_upload_of_a_file_that_changes_meanwhile_starts_over(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(5_000_000))
    sizes: list[int] = []

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        size = 0
        announced = 0
        for request in requests:
            announced = announced or request.header.file.size
            size += len(request.chunk)
            if not sizes and size:
                with file.open("ab") as appending:
                    appending.write(b"more")
                sizes.append(0)
        sizes.append(size)
        if size != announced:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH")
        return v2.UploadReply()

    with ScriptedServer(ask_for_all, upload) as server:
        assert harvest_once(config(server.address, [file]), timeout=30).acknowledged == 1
        assert [one.size for one in server.announced(str(file))] == [5_000_000, 5_000_004]
    assert sizes[-1] == 5_000_004


class Holding:
    """Holds every Announce that names a path until it is released or given up."""

    def __init__(self, path: Path) -> None:
        self.held = threading.Event()
        self.released = threading.Event()
        self.given_up = threading.Event()
        self._path = str(path)

    def __call__(self, request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if any(file.path == self._path for file in request.files):
            context.add_callback(self.given_up.set)
            self.held.set()
            while not (self.given_up.is_set() or self.released.wait(0.02)):
                pass
        return acknowledge(request, context)


def test_a_held_announce_keeps_no_other_file_waiting(tmp_path: Path) -> None:
    held, other = tmp_path / "held", tmp_path / "other"
    held.touch()
    holding = Holding(held)
    with ScriptedServer(holding) as server, Client(config(server.address, [held, other])) as client:
        assert holding.held.wait(10)
        for round_ in range(20):  # more changes than calls may be under way
            other.write_text(f"version {round_}")
            count = round_ + 1
            server.wait_for(lambda count=count: len(server.announced(str(other))) >= count, f"version {round_}")  # type: ignore[misc]
        until(lambda: client.status().acknowledged == 1, "the other file to be acknowledged")
        holding.released.set()
        assert client.flush(10)


def test_a_held_announce_is_given_up_when_its_file_changes(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("old")
    holding = Holding(held)
    with ScriptedServer(holding) as server, Client(config(server.address, [held])) as client:
        assert holding.held.wait(10)
        server.announce = acknowledge
        held.write_text("newer")
        assert holding.given_up.wait(10)
        assert client.flush(10)
        assert [file.size for file in server.announced(str(held))] == [3, 5]
        # The server may have recorded the old version after the new one; so the new one is said once more.
        server.wait_for(lambda: [file.size for file in server.announced(str(held))] == [3, 5, 5], "the confirmation")


def test_batches_keep_within_the_server_s_limit_which_is_asked_again_when_it_shrinks(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(50)]
    for file in files:
        file.write_text(file.name)

    calls: list[float] = []

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if first_time(calls) or len(request.files) > 7:
            server.limits = v2.Limits(max_files=7, max_content_bytes=100, max_chunk_bytes=10, max_uploads=1)
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_FILES")
        return acknowledge(request, context)

    with ScriptedServer(announce) as server:
        assert harvest_once(config(server.address, files), timeout=30).acknowledged == 50
        assert server.asked_limits >= 2
    assert sum(len(request.files) for request in server.requests[1:] if len(request.files) <= 7) >= 50


def test_chunks_and_uploads_at_once_keep_within_the_server_s_limits(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(6)]
    for file in files:
        file.write_bytes(bytes(1000))
    running, most, chunks = [0], [0], [0]
    lock = threading.Lock()

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        for request in requests:
            chunks[0] = max(chunks[0], len(request.chunk))
        with lock:
            running[0] -= 1
        return v2.UploadReply()

    limits = v2.Limits(max_files=10, max_content_bytes=10_000, max_chunk_bytes=64, max_uploads=2)
    with ScriptedServer(ask_for_all, upload, limits) as server:
        assert harvest_once(config(server.address, files), timeout=30).uploaded == 6
    assert most[0] <= 2
    assert chunks[0] == 64


def test_a_server_that_does_not_speak_the_protocol_is_not_waited_for(file: Path) -> None:
    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        refuse(context, grpc.StatusCode.PERMISSION_DENIED, message="this pod may not speak")

    with ScriptedServer(announce) as server:
        summary = harvest_once(config(server.address, [file]), timeout=30)
    assert summary.given_up == GivenUp("PERMISSION_DENIED", "this pod may not speak")
    assert summary.acknowledged == 0


def test_a_reason_of_a_newer_server_is_a_refusal_of_that_file_alone(tmp_path: Path) -> None:
    newer = v2.Reason.ValueType(max(v2.Reason.values()) + 1)
    files = [tmp_path / name for name in ("announced", "sent", "good")]
    for file in files:
        file.write_text(file.name)

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        index = [one.path for one in request.files].index(str(files[0]))
        answers = [v2.REFUSED if at == index else v2.UPLOAD for at in range(len(request.files))]
        return v2.AnnounceReply(answers=answers, refusals=[v2.Refusal(index=index, reason=newer, message="new")])

    def receive_batch(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        index = [one.file.path for one in request.contents].index(str(files[1]))
        arrivals = [v2.NOT_STORED if at == index else v2.STORED for at in range(len(request.contents))]
        return v2.UploadBatchReply(arrivals=arrivals, refusals=[v2.Refusal(index=index, reason=newer, message="new")])

    with ScriptedServer(announce, limits=BATCHES, upload_batch=receive_batch) as server:
        summary = harvest_once(config(server.address, files), timeout=30)
    assert summary.acknowledged == 1
    assert {(one.path, one.reason, one.message) for one in summary.failures} == {
        (str(file), f"REASON_{newer}", "new") for file in files[:2]
    }


@pytest.mark.parametrize(
    "answers", [[v2.Answer.ValueType(max(v2.Answer.values()) + 1)], [v2.PENDING], []], ids=["newer", "pending", "none"]
)
def test_an_answer_that_says_neither_yes_nor_no_nor_when_is_asked_for_again_less_and_less_often(
    file: Path, answers: list[v2.Answer.ValueType]
) -> None:
    calls: list[float] = []

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        calls.append(time.monotonic())
        return v2.AnnounceReply(answers=answers) if len(calls) <= 4 else acknowledge(request, context)

    with ScriptedServer(announce) as server:
        assert harvest_once(config(server.address, [file]), timeout=30).acknowledged == 1
    waits = [after - before for before, after in pairwise(calls)]
    assert [wait >= least for wait, least in zip(waits, (0.1, 0.2, 0.4, 0.8), strict=True)] == [True] * 4, waits


def test_files_over_the_server_s_limit_are_not_announced(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(2000))
    limits = v2.Limits(max_files=10, max_content_bytes=1000, max_chunk_bytes=64, max_uploads=2)
    with ScriptedServer(limits=limits) as server:
        assert harvest_once(config(server.address, [large]), timeout=30).refused == 1
        assert LIMITS.max_content_bytes > 2000
