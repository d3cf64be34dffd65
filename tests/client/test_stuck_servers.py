"""What a server will not store for long is not sent to it again and again."""

# The arguments of a servicer are the protocol's.
# ruff: noqa: ARG002
from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from harness import ServerThread
from harness.disks import small_disk

from client.scripted import BATCHES, LIMITS, Context, ScriptedServer, acknowledge, ask_for_all, receive, refuse
from client.watched import PATIENCE_SECONDS, config, until
from kharvest.client import Client
from kharvest.wire import v2_pb2 as v2

MB = 1_000_000


class Stuck:
    """Takes in uploads, and then says why they cannot be stored."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.sizes: list[int] = []

    def stream(self, requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        self.sizes.append(sum(len(request.chunk) for request in requests))
        refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, self.reason, pushback_ms=10, message="no room")

    def batch(self, request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        self.sizes += [len(one.content) for one in request.contents]
        count = len(request.contents)
        refusals = [v2.Refusal(index=n, reason=v2.Reason.Value(self.reason), message="no room") for n in range(count)]
        return v2.UploadBatchReply(arrivals=[v2.NOT_STORED] * count, refusals=refusals, retry_after_ms=10)


@pytest.mark.parametrize("limits", [LIMITS, BATCHES])
@pytest.mark.parametrize("reason", ["STORE_FULL", "STORE_FAILED", "CONTENT_TOO_LARGE", "CONFLICT"])
def test_a_content_is_not_sent_again_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reason: str, limits: v2.Limits
) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    stuck = Stuck(reason)
    with (
        ScriptedServer(ask_for_all, stuck.stream, limits, stuck.batch) as server,
        Client(config(server.address, [tmp_path / "file"])) as client,
    ):
        until(lambda: [one.reason for one in client.status().problems] == [reason], "the problem to be told")
        for _ in range(3):
            assert not client.flush(0.5)  # in which it used to be sent several times
        assert stuck.sizes == [1000]
        client.close(0)
    said = [record for record in caplog.records if "no room" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.WARNING]


def test_a_store_that_is_full_is_sent_nothing_as_large_again_but_what_is_smaller(tmp_path: Path) -> None:
    small, medium, large, huge = (tmp_path / name for name in ("small", "medium", "large", "huge"))
    medium.write_bytes(bytes(2000))
    stuck = Stuck("STORE_FULL")

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        first = next(requests)
        return receive(requests, context) if first.header.file.size < 2000 else stuck.stream(requests, context)

    with (
        ScriptedServer(ask_for_all, upload) as server,
        Client(config(server.address, [medium, small, large, huge])) as client,
    ):
        until(lambda: stuck.sizes == [2000], "the upload")
        until(lambda: len(client.status().problems) == 4, "what came of it to be known")
        large.write_bytes(bytes(3000))
        huge.write_bytes(bytes(4000))
        small.write_bytes(bytes(100))
        until(lambda: client.status().acknowledged == 1, "the small file to be acknowledged")
        until(lambda: len(server.announced(str(huge))) == 1, "the large ones to be announced")
        assert not client.flush(1)
        assert stuck.sizes == [2000]
        client.close(0)


@pytest.mark.parametrize("reason", ["STORE_FULL", "CONFLICT"])
def test_other_limits_of_the_server_are_a_reason_to_try_again(tmp_path: Path, reason: str) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    other = tmp_path / "other"
    stuck = Stuck(reason)
    with (
        ScriptedServer(ask_for_all, stuck.stream) as server,
        Client(config(server.address, [tmp_path / "file", other])) as client,
    ):
        until(lambda: any(one.reason == reason for one in client.status().problems), "the problem to be told")
        lost: list[bool] = []

        def lose_the_connection_once(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
            if not lost:
                lost.append(True)
                refuse(context, grpc.StatusCode.UNAVAILABLE)
            return acknowledge(request, context)

        server.limits = v2.Limits(max_files=100, max_content_bytes=1 << 41, max_chunk_bytes=1 << 16, max_uploads=2)
        server.announce = lose_the_connection_once
        other.touch()
        assert client.flush(PATIENCE_SECONDS)


def test_a_changed_file_is_announced_within_half_a_minute(tmp_path: Path) -> None:
    """What did not fit may fit now: a change is waited with for a moment, not for the minutes of the version before."""
    file = tmp_path / "file"
    file.write_bytes(bytes(1000))
    stuck = Stuck("CONTENT_TOO_LARGE")
    with ScriptedServer(ask_for_all, stuck.stream) as server, Client(config(server.address, [file])) as client:
        until(lambda: client.status().refused == 1, "the refusal")
        file.write_bytes(bytes(10))
        until(lambda: stuck.sizes == [1000, 10], "the changed file")


def test_a_real_disk_that_is_full_is_sent_a_content_once(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(40 * MB))
    with (
        small_disk(tmp_path / "disk", 20 * MB) as disk,
        ServerThread(f"sqlite:///{disk}/store.db") as server,
        Client(config(server.address, [large])) as client,
    ):
        until(
            lambda: [one.reason for one in client.status().problems] == ["STORE_FULL"], "the full disk to be told", 60
        )
        sent = client.status().uploaded_bytes
        assert not client.flush(4)
        assert client.status().uploaded_bytes == sent <= 40 * MB
        client.close(0)
