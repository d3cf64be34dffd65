"""Bad input gets a clear error that names the field and the limit; nothing changes, and everyone else is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from harness import Pod, ServerThread, announced
from harness.pods import details_of, reason_of

from kharvest.wire import v2_pb2 as v2

GOOD = announced("/etc/good", b"good")


@pytest.fixture
def pod(server: ServerThread) -> Iterator[Pod]:
    """A pod; when the test is over, the server must have nothing of it, and must still serve."""
    with Pod(server.address) as pod:
        yield pod
        assert pod.files() == []
        assert pod.references() == []
        pod.harvest_files({"/etc/good": b"good"})
        assert len(pod.references()) == 1


def file(**changes: Any) -> v2.File:
    wanted = announced("/etc/bad", b"bad")
    for field, value in changes.items():
        setattr(wanted, field, value)
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "told"),
    [
        pytest.param(file(md5=b"short"), ["md5", "5 bytes", "16"], id="MD5 too short"),
        pytest.param(file(md5=b""), ["md5", "0 bytes", "16"], id="no MD5"),
        pytest.param(file(sha256=b"short"), ["sha256", "5 bytes", "32"], id="SHA-256 too short"),
        pytest.param(file(md5=bytes(16)), ["md5", "removal"], id="removal with content"),
        pytest.param(file(path=""), ["path", "empty"], id="empty path"),
        pytest.param(file(path="etc/app.conf"), ["path", "relative", "etc/app.conf"], id="relative path"),
        pytest.param(file(path="/etc/a\0b"), ["path", "NUL"], id="NUL in path"),
        pytest.param(file(path="/" + "a" * 4999), ["path", "5000 bytes", "4096"], id="path too long"),
        pytest.param(file(path="/" + "ä" * 2048), ["path", "4097 bytes", "4096"], id="path too long in UTF-8"),
        pytest.param(file(size=2**63), ["size", "9223372036854775808"], id="size out of range"),
        pytest.param(file(size=2**41), ["2199023255552", "--max-content-bytes"], id="content too large"),
    ],
)
def test_a_bad_file_is_refused_and_the_others_of_its_call_are_not(pod: Pod, bad: v2.File, told: list[str]) -> None:
    reply = pod.announce(bad, GOOD)
    assert list(reply.answers) == [v2.REFUSED, v2.UPLOAD]
    (refusal,) = reply.refusals
    assert refusal.index == 0
    assert refusal.reason in {v2.INVALID, v2.CONTENT_TOO_LARGE}
    for words in told:
        assert words in refusal.message


@pytest.mark.parametrize("path", ["/etc//a", "/etc/./a", "/etc/../a", "//a", "/etc/a/", "/etc/.", "/etc/..", "/"])
def test_a_path_that_is_not_normal_is_refused(pod: Pod, path: str) -> None:
    reply = pod.announce(announced(path, b"a"), announced("/etc/...a", b"b"))
    assert list(reply.answers) == [v2.REFUSED, v2.UPLOAD]
    assert "not normal" in reply.refusals[0].message


def test_a_path_twice_in_one_call_is_refused_the_second_time(pod: Pod) -> None:
    reply = pod.announce(GOOD, announced("/etc/good", b"other"))
    assert list(reply.answers) == [v2.UPLOAD, v2.REFUSED]
    assert "/etc/good" in reply.refusals[0].message


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda pod: setattr(pod.pod, "name", ""), ["pod", "empty"], id="no pod"),
        pytest.param(lambda pod: setattr(pod.pod, "namespace", ""), ["namespace", "empty"], id="no namespace"),
        pytest.param(lambda pod: setattr(pod.pod, "name", "p" * 254), ["pod", "254", "253"], id="pod too long"),
        pytest.param(
            lambda pod: setattr(pod.pod, "namespace", "n" * 64), ["namespace", "64", "63"], id="namespace too long"
        ),
        pytest.param(
            lambda pod: pod.metadata.update({str(key): "" for key in range(10_000)}),
            ["metadata", "10000", "64"],
            id="too many metadata pairs",
        ),
        pytest.param(
            lambda pod: pod.metadata.update({"k" * 318: ""}), ["metadata key", "318", "317"], id="metadata key too long"
        ),
        pytest.param(
            lambda pod: pod.metadata.update({"k": "v" * 4097}), ["metadata value", "4097", "4096"], id="value too long"
        ),
    ],
)
def test_a_call_of_a_bad_speaker_is_refused(
    server: ServerThread, pod: Pod, spoil: Callable[[Pod], None], told: list[str]
) -> None:
    assert pod.answers() == []
    with Pod(server.address) as bad:
        spoil(bad)
        with pytest.raises(grpc.RpcError) as refusal:
            bad.announce(GOOD)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "INVALID"
    for words in told:
        assert words in details_of(refusal.value)


def test_a_batch_over_the_advertised_limit_is_refused(pod: Pod) -> None:
    limits = pod.harvest.GetLimits(v2.GetLimitsRequest(), timeout=10)
    files = [announced(f"/etc/{number}", b"x") for number in range(limits.max_files + 1)]
    with pytest.raises(grpc.RpcError) as refusal:
        pod.announce(*files)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "TOO_MANY_FILES"
    assert str(limits.max_files) in details_of(refusal.value)


@pytest.mark.parametrize(
    ("sent", "said", "told"),
    [
        pytest.param(b"bed", announced("/etc/bad", b"bad"), "sha256", id="other bytes"),
        pytest.param(b"ba", announced("/etc/bad", b"bad"), "size", id="fewer bytes"),
        pytest.param(b"badder", announced("/etc/bad", b"bad"), "size", id="more bytes"),
        pytest.param(b"bad", file(md5=announced("/", b"other").md5), "md5", id="another MD5"),
        pytest.param(b"", announced("/etc/bad", b"bad"), "size", id="no bytes"),
    ],
)
def test_bytes_that_are_not_what_was_announced_are_refused(pod: Pod, sent: bytes, said: v2.File, told: str) -> None:
    assert pod.answers(said) == [v2.UPLOAD]
    with pytest.raises(grpc.RpcError) as refusal:
        pod.upload(said, sent)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "CONTENT_MISMATCH"
    assert told in details_of(refusal.value)
    with pytest.raises(grpc.RpcError) as unknown:
        pod.content(said.sha256)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


def test_an_md5_that_the_stored_content_does_not_have_is_refused(server: ServerThread) -> None:
    """Or one lying pod could take a signature away from all honest ones."""
    with Pod(server.address, "web-1") as honest, Pod(server.address, "web-2") as liar:
        honest.harvest_files({"/etc/a": b"a"})
        lie = announced("/etc/b", b"a")
        lie.md5 = announced("/etc/b", b"b").md5
        reply = liar.announce(lie)
        assert list(reply.answers) == [v2.REFUSED]
        assert reply.refusals[0].reason == v2.CONTENT_MISMATCH
        assert honest.harvest_files({"/etc/b": b"b"}) == 1


def test_a_signature_with_another_content_is_a_conflict(server: ServerThread) -> None:
    """What an MD5 collision looks like: same path, same MD5, another SHA-256."""
    with Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        collision = announced("/etc/a", b"a")
        collision.sha256 = announced("/etc/a", b"b").sha256
        reply = pod.announce(collision)
        assert list(reply.answers) == [v2.REFUSED]
        assert reply.refusals[0].reason == v2.CONFLICT
        assert "/etc/a" in reply.refusals[0].message
        assert len(pod.references()) == 1


@pytest.mark.parametrize(
    ("requests", "told"),
    [
        pytest.param([], "header", id="nothing"),
        pytest.param([v2.UploadRequest(chunk=b"bad")], "header", id="no header"),
        pytest.param([v2.UploadRequest()], "header", id="an empty message"),
    ],
)
def test_an_upload_without_a_header_is_refused(pod: Pod, requests: list[v2.UploadRequest], told: str) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        pod.harvest.Upload(iter(requests), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in details_of(refusal.value)


def test_a_second_header_is_refused(pod: Pod) -> None:
    bad = announced("/etc/bad", b"bad")
    assert pod.answers(bad) == [v2.UPLOAD]
    with pytest.raises(grpc.RpcError) as refusal:
        pod.harvest.Upload(iter([pod.header(bad), pod.header(bad)]), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "header" in details_of(refusal.value)


def test_a_chunk_over_the_advertised_limit_is_refused(pod: Pod) -> None:
    limits = pod.harvest.GetLimits(v2.GetLimitsRequest(), timeout=10)
    content = bytes(limits.max_chunk_bytes + 1)
    bad = announced("/etc/bad", content)
    assert pod.answers(bad) == [v2.UPLOAD]
    with pytest.raises(grpc.RpcError) as refusal:
        pod.upload(bad, [content])
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(limits.max_chunk_bytes) in details_of(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "told"),
    [
        pytest.param(
            v2.ReferencesRequest(filter=v2.Filter(since=Timestamp(seconds=20), until=Timestamp(seconds=10))),
            ["since", "until"],
            id="since after until",
        ),
        pytest.param(v2.ReferencesRequest(cursor="no cursor"), ["cursor"], id="a broken cursor"),
        pytest.param(v2.ReferencesRequest(cursor="WyJhIiwxXQ"), ["cursor"], id="a forged cursor"),
        pytest.param(v2.ReferencesRequest(limit=-1), ["limit", "-1"], id="a negative limit"),
        pytest.param(v2.ReferencesRequest(limit=10_001), ["limit", "10001", "10000"], id="too large a limit"),
        pytest.param(v2.ReferencesRequest(filter=v2.Filter(md5=b"x")), ["md5", "1 bytes"], id="MD5 too short"),
        pytest.param(v2.ReferencesRequest(filter=v2.Filter(path="/a", path_glob="/*")), ["path"], id="path and glob"),
        pytest.param(
            v2.ReferencesRequest(filter=v2.Filter(since=Timestamp(seconds=-1))), ["since"], id="before the epoch"
        ),
        pytest.param(
            v2.ReferencesRequest(filter=v2.Filter(until=Timestamp(seconds=2**40))), ["until"], id="far future"
        ),
        pytest.param(v2.ReferencesRequest(filter=v2.Filter(pod="p" * 300)), ["pod", "253"], id="pod too long"),
    ],
)
def test_a_bad_query_is_refused(pod: Pod, request_: v2.ReferencesRequest, told: list[str]) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        pod.query.References(request_, timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "INVALID"
    for words in told:
        assert words in details_of(refusal.value)


@pytest.mark.parametrize(
    ("sha256", "offset", "status"),
    [
        pytest.param(b"short", 0, grpc.StatusCode.INVALID_ARGUMENT, id="SHA-256 too short"),
        pytest.param(bytes(32), 0, grpc.StatusCode.NOT_FOUND, id="unknown content"),
    ],
)
def test_a_content_that_is_not_there_is_refused(pod: Pod, sha256: bytes, offset: int, status: grpc.StatusCode) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        pod.content(sha256, offset)
    assert refusal.value.code() is status


@pytest.mark.usefixtures("pod")
def test_a_message_that_is_no_message_does_not_disturb_the_server(server: ServerThread) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/kharvest.v2.Harvest/Announce")
        with pytest.raises(grpc.RpcError):
            call(b"\xff\xff\xff", timeout=10)
