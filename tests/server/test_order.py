"""What was announced last is what a pod holds, whatever the clocks of servers say and whatever waited for a content."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Pod, ServerThread, announced, removal
from harness.real import RealServers
from harness.waiting import wait_until_held

from kharvest.server import _clock as clock
from kharvest.wire import v2_pb2 as v2

HOUR = 3600.0
PATH = "/etc/app.conf"
VERSIONS = [b"one\n", b"two\n", b"three\n"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path, real_servers: RealServers) -> Iterator[str]:
    """A store that several servers may have open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
    else:
        with real_servers.get(request.param).place() as place:
            yield place


@contextmanager
def server_whose_clock_is_off(store: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerThread]:
    """A server on a machine whose clock differs from ours."""
    with monkeypatch.context() as patched:
        patched.setattr(clock, "wall_ns", lambda: time.time_ns() + int(seconds * 1e9))
        running = ServerThread(store)
        running.__enter__()
    try:
        yield running
    finally:
        running.stop()


def history(pod: Pod) -> list[bytes]:
    """The contents that the pod had at the path, oldest first; nothing for a removal."""
    references = [one for one in pod.references() if one.pod.name == pod.pod.name]
    times = [(one.observed_at.seconds, one.observed_at.nanos) for one in references]
    assert sorted(set(times)) == times, "two references of one timeline have one time, or they are out of order"
    return [content_of(pod, one) for one in references]


def content_of(pod: Pod, reference: v2.Reference) -> bytes:
    return pod.content(reference.file.sha256) if reference.file.sha256 else b""


def latest(pod: Pod) -> bytes:
    (reference,) = [one for one in pod.references(latest=True) if one.pod.name == pod.pod.name]
    return content_of(pod, reference)


def test_after_a_clock_was_set_back_what_is_announced_last_is_the_latest(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServerThread(shared_url) as server, Pod(server.address) as pod:
        for version in VERSIONS[:2]:
            pod.harvest_files({PATH: version})
    with server_whose_clock_is_off(shared_url, -HOUR, monkeypatch) as server, Pod(server.address) as pod:
        pod.harvest_files({PATH: VERSIONS[2]})
        assert latest(pod) == VERSIONS[2]
        assert history(pod) == VERSIONS
        pod.harvest_files({PATH: VERSIONS[0]})
        assert latest(pod) == VERSIONS[0]
        command = [sys.executable, "-m", "kharvest", "cat", PATH, "--pod", "shop/web-1", "--server", server.address]
        assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout == VERSIONS[0]
        assert pod.answers(removal(PATH)) == [v2.ACKNOWLEDGED]
        assert latest(pod) == b""
        assert history(pod) == [*VERSIONS, VERSIONS[0], b""]


def test_of_two_servers_seconds_apart_the_last_one_to_be_told_has_the_latest(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        server_whose_clock_is_off(shared_url, 5, monkeypatch) as early,
        server_whose_clock_is_off(shared_url, 0, monkeypatch) as late,
        Pod(early.address) as one,
        Pod(late.address) as other,
    ):
        told = []
        for number in range(8):
            pod, version = (one, other)[number % 2], VERSIONS[number % 3]
            pod.harvest_files({PATH: version})
            told.append(version)
            for reader in (one, other):
                assert latest(reader) == version
        assert history(one) == told


def test_announcing_again_adds_nothing_whatever_the_clock(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ServerThread(shared_url) as server, Pod(server.address) as pod:
        pod.harvest_files({PATH: VERSIONS[0]})
    for seconds in (-HOUR, HOUR, 0):
        with server_whose_clock_is_off(shared_url, seconds, monkeypatch) as server, Pod(server.address) as pod:
            for _time in range(2):
                assert pod.answers(announced(PATH, VERSIONS[0])) == [v2.ACKNOWLEDGED]
            assert history(pod) == VERSIONS[:1]


def test_a_clock_that_is_behind_is_told_once_with_by_how_much(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with ServerThread(sqlite_url) as server, Pod(server.address) as pod:
        pod.harvest_files({PATH: VERSIONS[0]})
    assert "clock" not in caplog.text
    with server_whose_clock_is_off(sqlite_url, -HOUR, monkeypatch) as server, Pod(server.address) as pod:
        for version in VERSIONS[1:]:
            pod.harvest_files({PATH: version})
    (warning,) = [one for one in caplog.records if "clock" in one.getMessage()]
    assert warning.levelname == "WARNING"
    assert "NTP" in warning.getMessage()
    behind = float(warning.getMessage().partition(" s behind")[0].rpartition(" ")[2])
    assert HOUR - 60 < behind <= HOUR


def test_what_waited_for_its_content_comes_before_what_was_announced_meanwhile(server: ServerThread) -> None:
    waiting, meanwhile = announced(PATH, VERSIONS[0]), announced(PATH, VERSIONS[1])
    elsewhere = announced("/elsewhere", VERSIONS[0])
    with (
        Pod(server.address, "web-1") as pod,
        Pod(server.address, "web-2") as uploader,
        ThreadPoolExecutor(1) as threads,
    ):
        uploader.harvest_files({"/known": VERSIONS[1]})
        assert uploader.answers(elsewhere) == [v2.UPLOAD]
        held = threads.submit(pod.answers, waiting)
        wait_until_held(server, 1)
        assert pod.answers(meanwhile) == [v2.ACKNOWLEDGED]
        uploader.upload(elsewhere, VERSIONS[0])
        assert held.result(10) == [v2.ACKNOWLEDGED]
        assert latest(pod) == VERSIONS[1]
        assert history(pod) == VERSIONS[:2]


def test_a_long_upload_comes_before_what_was_announced_meanwhile(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the clock was set back, and tells nothing of the order."""
    going, go_on = threading.Event(), threading.Event()
    data = bytes(600_000)

    def slowly() -> Iterator[bytes]:
        yield data[:300_000]
        going.set()
        assert go_on.wait(30)
        yield data[300_000:]

    with ServerThread(sqlite_url) as before, Pod(before.address) as pod:
        pod.harvest_files({PATH: VERSIONS[0]})
    with (
        server_whose_clock_is_off(sqlite_url, -HOUR, monkeypatch) as server,
        Pod(server.address) as pod,
        ThreadPoolExecutor(1) as threads,
    ):
        file = announced(PATH, data)
        assert pod.answers(file) == [v2.UPLOAD]
        uploading = threads.submit(pod.upload, file, slowly())
        assert going.wait(30)
        pod.harvest_files({"/other": VERSIONS[1]})
        assert pod.answers(announced(PATH, VERSIONS[1])) == [v2.ACKNOWLEDGED]
        go_on.set()
        assert not uploading.result(30).already_stored
        assert latest_of(pod, PATH) == VERSIONS[1]
        pod.harvest_files({PATH: data})
        assert latest_of(pod, PATH) == data


def latest_of(pod: Pod, path: str) -> bytes:
    (reference,) = pod.references(latest=True, path=path)
    return content_of(pod, reference)
