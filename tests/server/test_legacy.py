"""Clients and tools of the original protocol are answered unchanged, without the original server's faults."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from harness import LegacyPod, Pod, ServerProcess, ServerThread, announced
from harness.disks import small_disk
from harness.pods import details_of, reason_of
from harness.servers import resident_bytes
from harness.waiting import wait_until_held

from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire import v2_pb2 as v2

ACK, STORE_REQUESTED = legacy.NotifyReply.ACK, legacy.NotifyReply.STORE_REQUESTED
SAMPLES = json.loads((Path(__file__).parents[2] / "../shared/legacy-wire/samples.json").read_text())


def harvest(pod: LegacyPod, path: str, content: bytes | None) -> int:
    """What the original client does with one file."""
    action = pod.notify(path, content)
    if action == STORE_REQUESTED:
        pod.store(path, content)
    return action


# The messages ---------------------------------------------------------------------------------------------------------


def _timestamp(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    seconds, _, nanoseconds = text.partition(".")
    return Timestamp(seconds=int(seconds), nanos=int(nanoseconds or 0))


def _signature(fields: dict[str, Any]) -> legacy.DataSignature:
    return legacy.DataSignature(
        filename=fields["filename"],
        timestamp=_timestamp(fields["timestamp"]),
        md5=base64.b64decode(fields["md5_base64"]),
        namespace=fields["namespace"],
        podName=fields["pod"],
        metadata=fields["metadata"],
    )


def _message(kind: str, fields: dict[str, Any]) -> Any:
    match kind:
        case "DataSignature":
            return _signature(fields)
        case "Data":
            return legacy.Data(signature=_signature(fields["signature"]), data=base64.b64decode(fields["data_base64"]))
        case "NotifyReply":
            return legacy.NotifyReply(action=fields["action"])
        case "StoreReply":
            return legacy.StoreReply()
        case "KeysReply":
            return legacy.KeysReply(keys=[base64.b64decode(key) for key in fields["keys_base64"]])
        case "PodIdentifier":
            return legacy.PodIdentifier(podName=fields["pod"], namespace=fields["namespace"])
        case "TimeFrame":
            ends = {"from": _timestamp(fields["from"]), "to": _timestamp(fields["to"])}
            return legacy.TimeFrame(**ends)
        case "KeyValuePair":
            return legacy.KeyValuePair(key=fields["key"], pair=fields["value"])
        case "DataSignatures":
            return legacy.DataSignatures(signatures=[_signature(one) for one in fields["signatures"]])
    raise AssertionError(f"no such message: {kind}")


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{one['message']} {one['note']}"[:60] for one in SAMPLES])
def test_a_recorded_message_parses_and_encodes_to_the_same_bytes(sample: dict[str, Any]) -> None:
    recorded = bytes.fromhex(sample["hex"])
    ours = _message(sample["message"], sample["fields"])
    assert type(ours).FromString(recorded) == ours
    assert ours.SerializeToString(deterministic=True) == recorded


# Harvesting -----------------------------------------------------------------------------------------------------------


def test_a_file_is_asked_for_once_and_then_acknowledged_for_all(server: ServerThread) -> None:
    with LegacyPod(server.address, "old-1") as first, LegacyPod(server.address, "old-2") as second:
        assert harvest(first, "/etc/app.conf", b"one\n") == STORE_REQUESTED
        assert harvest(second, "/etc/app.conf", b"one\n") == ACK
        references = second.user.SameReferences(second.signature("/etc/app.conf", b"one\n")).signatures
        assert {reference.podName for reference in references} == {"old-1", "old-2"}


def test_a_waiting_notify_is_acknowledged_when_the_other_has_stored(server: ServerThread) -> None:
    with (
        LegacyPod(server.address, "old-1") as first,
        LegacyPod(server.address, "old-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        assert first.notify("/etc/a", b"a") == STORE_REQUESTED
        held = threads.submit(second.notify, "/etc/a", b"a")
        wait_until_held(server, 1)
        first.store("/etc/a", b"a")
        assert held.result(10) == ACK


def test_a_removal_is_acknowledged_and_recorded(server: ServerThread) -> None:
    with LegacyPod(server.address) as pod:
        harvest(pod, "/etc/a", b"a")
        assert harvest(pod, "/etc/a", None) == ACK
        signatures = pod.user.PodReferences(legacy.PodIdentifier(podName="old-1", namespace="shop")).signatures
        assert [signature.md5 for signature in signatures] == [hashlib.md5(b"a").digest(), bytes(16)]


def test_a_stored_removal_is_a_removal(server: ServerThread) -> None:
    """The original asked for the content of a removal; a client between the two servers may still send it."""
    with LegacyPod(server.address) as pod:
        harvest(pod, "/etc/a", b"a")
        pod.store("/etc/a", None)
        signatures = pod.user.PodReferences(legacy.PodIdentifier(podName="old-1", namespace="shop")).signatures
        assert [signature.md5 for signature in signatures] == [hashlib.md5(b"a").digest(), bytes(16)]


def test_an_empty_file_is_stored(server: ServerThread) -> None:
    with LegacyPod(server.address) as pod:
        assert harvest(pod, "/etc/empty", b"") == STORE_REQUESTED
        assert harvest(pod, "/etc/empty", b"") == ACK


def test_the_user_api_answers_as_the_original(server: ServerThread) -> None:
    with LegacyPod(server.address, "old-1") as pod, Pod(server.address, "new-1", metadata={"app": "web"}) as modern:
        before = Timestamp()
        before.GetCurrentTime()
        harvest(pod, "/etc/a", b"a")
        harvest(pod, "/etc/b", b"b")
        modern.harvest_files({"/etc/a": b"a"})
        after = Timestamp(seconds=int(time.time()) + 60)

        keys = set(pod.user.Keys(Empty()).keys)
        assert keys == {b"/etc/a." + hashlib.md5(b"a").digest(), b"/etc/b." + hashlib.md5(b"b").digest()}
        same = pod.user.SameReferences(legacy.DataSignature(filename="/etc/a", md5=hashlib.md5(b"a").digest()))
        assert [one.podName for one in same.signatures] == ["old-1", "new-1"]
        frame = {"from": before, "to": after}
        assert len(pod.user.ReferencesAt(legacy.TimeFrame(**frame)).signatures) == 3
        empty = {"from": after, "to": after}
        assert list(pod.user.ReferencesAt(legacy.TimeFrame(**empty)).signatures) == []
        (tagged,) = pod.user.ReferencesForMeta(legacy.KeyValuePair(key="app", pair="web")).signatures
        assert (tagged.podName, dict(tagged.metadata)) == ("new-1", {"app": "web"})
        assert tagged.HasField("timestamp")


def test_old_and_new_clients_share_one_upload(server: ServerThread) -> None:
    with (
        LegacyPod(server.address, "old-1") as old,
        Pod(server.address, "new-1") as new,
        ThreadPoolExecutor(1) as threads,
    ):
        assert old.notify("/etc/a", b"a") == STORE_REQUESTED
        held = threads.submit(new.answers, announced("/etc/a", b"a"))
        wait_until_held(server, 1)
        old.store("/etc/a", b"a")
        assert held.result(10) == [v2.ACKNOWLEDGED]
        new.harvest_files({"/etc/b": b"b"})
        assert old.notify("/etc/b", b"b") == ACK


def test_bad_input_of_an_old_client_is_refused_with_a_clear_error(server: ServerThread) -> None:
    with LegacyPod(server.address) as pod:
        for bad, told in (
            (legacy.DataSignature(filename="", md5=b"m" * 16), "path"),
            (legacy.DataSignature(filename="relative", md5=b"m" * 16), "relative"),
            (legacy.DataSignature(filename="/etc/a", md5=b"short"), "16"),
            (legacy.DataSignature(filename="/etc/a", md5=b"m" * 16, podName="p" * 300), "253"),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                pod.harvest.Notify(bad, timeout=10)
            assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert told in details_of(refusal.value)
        assert list(pod.user.Keys(Empty()).keys) == []


# The faults of the original server, none of which is ours -------------------------------------------------------------


def test_fault_a_failed_write_acknowledges_nobody(tmp_path: Path) -> None:
    """The original told the other pods ACK, and kept references to content that did not exist."""
    big = b"x" * 8_000_000
    with (
        small_disk(tmp_path / "disk", 6_000_000) as disk,
        ServerProcess(f"sqlite:///{disk}/store.db") as server,
        LegacyPod(server.address, "old-1") as first,
        LegacyPod(server.address, "old-2") as second,
        ThreadPoolExecutor(1) as threads,
    ):
        harvest(first, "/etc/small", b"small")
        assert first.notify("/var/big", big) == STORE_REQUESTED
        held = threads.submit(second.notify, "/var/big", big)
        with pytest.raises(grpc.RpcError) as refusal:
            first.store("/var/big", big)
        assert reason_of(refusal.value) == "STORE_FULL"
        assert held.result(10) == STORE_REQUESTED
        assert harvest(second, "/etc/small", b"small") == ACK
        assert list(second.user.Keys(Empty()).keys) == [b"/etc/small." + hashlib.md5(b"small").digest()]


def test_fault_content_that_does_not_match_its_md5_is_refused(server: ServerThread) -> None:
    """The original never checked."""
    with LegacyPod(server.address) as pod:
        assert pod.notify("/etc/a", b"a") == STORE_REQUESTED
        with pytest.raises(grpc.RpcError) as refusal:
            pod.harvest.Store(legacy.Data(signature=pod.signature("/etc/a", b"a"), data=b"b"), timeout=10)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(refusal.value) == "CONTENT_MISMATCH"
        assert list(pod.user.Keys(Empty()).keys) == []
        assert pod.notify("/etc/a", b"a") == STORE_REQUESTED


@pytest.mark.slow
def test_fault_a_restart_between_notify_and_store_loses_nothing(sqlite_url: str) -> None:
    """The original answered success and stored nothing; for keys that it had loaded at its start it crashed."""
    with ServerProcess(sqlite_url) as server, LegacyPod(server.address) as pod:
        harvest(pod, "/etc/known", b"known")
        assert pod.notify("/etc/a", b"a") == STORE_REQUESTED
        server.kill()
    with ServerProcess(sqlite_url) as server, LegacyPod(server.address) as pod, Pod(server.address) as reader:
        pod.store("/etc/a", b"a")
        pod.store("/etc/known", b"known")
        assert reader.content(hashlib.sha256(b"a").digest()) == b"a"
        assert pod.notify("/etc/a", b"a") == ACK
        assert [file.pods for file in reader.files()] == [1, 1]


def test_fault_a_slow_upload_does_not_make_it_ask_a_second_pod(server: ServerThread) -> None:
    """The original asked a second pod after 2 s."""
    with LegacyPod(server.address, "old-1") as first, LegacyPod(server.address, "old-2") as second:
        assert first.notify("/etc/a", b"a") == STORE_REQUESTED
        started = time.monotonic()
        while time.monotonic() - started < 2.5:
            with pytest.raises(grpc.RpcError) as gave_up:
                second.notify("/etc/a", b"a", timeout=0.9)
            assert gave_up.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        first.store("/etc/a", b"a")
        assert second.notify("/etc/a", b"a") == ACK


def test_fault_a_waiting_call_ends_when_its_caller_gives_up(server: ServerThread) -> None:
    """The original's waiting calls ignored that, and were left behind."""
    with LegacyPod(server.address, "old-1") as first, LegacyPod(server.address, "old-2") as second:
        assert first.notify("/etc/a", b"a") == STORE_REQUESTED
        call = second.harvest.Notify.future(second.signature("/etc/a", b"a"), timeout=20)
        wait_until_held(server, 1)
        call.cancel()
        deadline = time.monotonic() + 10
        while server.metric("kharvest_held_announcements") > 0:
            assert time.monotonic() < deadline, "the call is still held"
            threading.Event().wait(0.005)
        first.store("/etc/a", b"a")
        references = first.user.SameReferences(first.signature("/etc/a", b"a")).signatures
        assert [reference.podName for reference in references] == ["old-1"]


def test_fault_a_content_of_20_mb_is_stored(server: ServerThread) -> None:
    """The original refused messages over 4 MiB."""
    content = b"0123456789abcdef" * (20_000_000 // 16)
    with LegacyPod(server.address) as pod, Pod(server.address) as reader:
        assert harvest(pod, "/var/big", content) == STORE_REQUESTED
        assert reader.content(hashlib.sha256(content).digest()) == content


def test_fault_two_versions_within_a_second_are_two_references(server: ServerThread) -> None:
    """The original kept the second one only."""
    with LegacyPod(server.address) as pod:
        for content in (b"1", b"2", b"3"):
            harvest(pod, "/etc/a", content)
        signatures = pod.user.PodReferences(legacy.PodIdentifier(podName="old-1", namespace="shop")).signatures
        assert [one.md5 for one in signatures] == [hashlib.md5(content).digest() for content in (b"1", b"2", b"3")]
        times = [one.timestamp.ToNanoseconds() for one in signatures]
        assert times == sorted(set(times))


def test_fault_no_metadata_is_no_metadata(server: ServerThread) -> None:
    """The original stored the pair None=None."""
    with LegacyPod(server.address) as pod:
        harvest(pod, "/etc/a", b"a")
        (signature,) = pod.user.PodReferences(legacy.PodIdentifier(podName="old-1", namespace="shop")).signatures
        assert dict(signature.metadata) == {}
        assert not pod.user.ReferencesForMeta(legacy.KeyValuePair(key="None", pair="None")).signatures


@pytest.mark.slow
def test_fault_memory_does_not_grow_with_what_was_notified(sqlite_url: str) -> None:
    """The original kept every notified key for ever, and about 8 KB for each reference."""
    batch, warming, measured = 1000, 120, 40
    with ServerProcess(sqlite_url) as server, Pod(server.address) as pod, LegacyPod(server.address) as old:
        old.store("/var/first", b"x")

        def announce(start: int, batches: int) -> None:
            for number in range(start, start + batches):
                files = [announced(f"/var/{number}/{one}", b"x") for one in range(batch)]
                assert pod.answers(*files) == [v2.ACKNOWLEDGED] * batch

        announce(0, warming)  # until every cache is full: they hold some 30,000 keys each
        before = resident_bytes(server.process.pid)
        announce(warming, measured)
        grown = (resident_bytes(server.process.pid) - before) / (batch * measured)
        assert grown < 100, f"{grown:.0f} bytes a reference"
