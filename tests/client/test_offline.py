"""A server that is away loses nothing that is still there, and finds everything again when it is back."""

from __future__ import annotations

import gc
import logging
import threading
import time
from pathlib import Path

import pytest
from harness import Pod, ServerProcess, ServerThread

from client.watched import PATIENCE_SECONDS, config, md5, until
from kharvest.client import Client
from kharvest.client._backoff import Backoff
from kharvest.client._send.announced_path import AnnouncedPath
from kharvest.client._send.server_state import CHECK_SECONDS
from kharvest.client._watch.files import WatchedFile


def recorded(address: str) -> dict[str, list[bytes]]:
    """The MD5s that a server has of each file, by its name."""
    found: dict[str, list[bytes]] = {}
    with Pod(address) as reader:
        for one in reader.references():
            found.setdefault(Path(one.file.path).name, []).append(one.file.md5)
    return found


def test_a_server_that_is_away_at_the_start_gets_everything_when_it_comes(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(10)]
    for file in files:
        file.write_text(file.name)
    with ServerThread("memory:") as gone:
        address = gone.address
    with Client(config(address, files)) as client:
        until(lambda: client.status().failure is not None, "the failure")
        files[0].write_text("changed meanwhile")
        files[1].unlink()
        with ServerThread("memory:", listen=address):
            until(lambda: client.status().acknowledged == 9, "what is there to be acknowledged", patience=60)
            wanted = {file.name: [md5(file.name.encode())] for file in files[2:]}
            assert recorded(address) == wanted | {"0": [md5(b"changed meanwhile")]}


@pytest.mark.slow
def test_midway_only_the_newest_state_of_each_file_is_kept_and_brought(tmp_path: Path) -> None:
    file, other, removed = (tmp_path / name for name in ("file", "other", "removed"))
    for path in (file, other, removed):
        path.write_text("first")
    url = f"sqlite:///{tmp_path}/store.db"
    server = ServerProcess(url)
    with Client(config(server.address, [file, other, removed])) as client:
        assert client.flush(PATIENCE_SECONDS)
        server.kill()
        for number in range(5):
            file.write_text(f"version {number}")
            assert not client.flush(0.3)
        removed.unlink()
        with ServerProcess(url, listen=server.address):
            until(lambda: client.status().pending == 0, "everything to be acknowledged", patience=60)
            until(lambda: recorded(server.address)["removed"][-1] == bytes(16), "the removal", patience=60)
            assert recorded(server.address) == {
                "file": [md5(b"first"), md5(b"version 4")],
                "other": [md5(b"first")],
                "removed": [md5(b"first"), bytes(16)],
            }


def alive(kind: type[object]) -> int:
    """How many objects of a class there are."""
    gc.collect()
    return sum(isinstance(one, kind) for one in gc.get_objects())


def test_files_that_come_and_go_meanwhile_take_no_room_and_no_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = alive(WatchedFile), alive(AnnouncedPath)
    with Client(config("127.0.0.1:1", directories=(str(tmp_path),), settle_seconds=0.0)) as client:
        until(lambda: client.status().failure is not None, "the failure")
        for round_ in range(3):
            for number in range(50):
                (tmp_path / f"temporary {round_} {number}").write_text(str(number))
            until(lambda: client.status().watched == 50, "the files to be found")
            assert not client.flush(0.2)
            for file in tmp_path.iterdir():
                file.unlink()
            until(lambda: client.status().watched == 0, "the files to be forgotten")
        # Of 150 each; the thread may still have hold of some.
        assert alive(WatchedFile) - before[0] < 20
        assert alive(AnnouncedPath) - before[1] < 20
        assert client.flush(PATIENCE_SECONDS)
        client.close(0)
    assert [record for record in caplog.records if "temporary" in record.getMessage()] == []


def test_a_flush_that_was_in_vain_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Client(config("127.0.0.1:1", [tmp_path / "file"])) as client:
        assert not client.flush(0.01)
        before = alive(threading.Event)
        for _ in range(50):
            assert not client.flush(0.01)
        client.status()
        assert alive(threading.Event) - before < 10
        client.close(0)


@pytest.mark.slow
def test_after_a_reconnect_every_current_file_is_announced_again(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        file.write_text(file.name)
    with ServerThread("memory:") as first:
        address = first.address
        client = Client(config(address, files))
        client.start()
        assert client.flush(PATIENCE_SECONDS)
    try:
        with ServerThread("memory:", listen=address):  # it has forgotten everything
            # Nothing changes: that the connection was lost is noticed without a call.
            until(lambda: len(recorded(address)) == 5, "all files", patience=CHECK_SECONDS + 30)
    finally:
        client.close()


def test_a_change_right_after_a_restart_has_all_others_announced_again_too(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        file.write_text(file.name)
    with ServerThread("memory:") as first:
        address = first.address
        client = Client(config(address, files))
        client.start()
        assert client.flush(PATIENCE_SECONDS)
        started = time.monotonic()
        until(lambda: time.monotonic() > started + 1.1, "the last check of the connection to grow old")
    try:
        with ServerThread("memory:", listen=address):
            files[0].write_text("changed")
            until(lambda: len(recorded(address)) == 5, "all files", patience=CHECK_SECONDS)
    finally:
        client.close()


def test_waits_between_attempts_grow_are_spread_and_have_a_limit() -> None:
    waits = []
    for _ in range(200):
        backoff = Backoff(first_seconds=1, most_seconds=8)
        waits.append([backoff.fail() for _ in range(6)])
    for attempt, most in enumerate((1, 2, 4, 8, 8, 8)):
        drawn = [wait[attempt] for wait in waits]
        assert most / 2 <= min(drawn)
        assert max(drawn) <= most
        assert max(drawn) - min(drawn) > most / 4  # clients that failed together do not come back together
    assert all(2 <= Backoff().fail(pushback_seconds=2) <= 2.5 for _ in range(100))
    recovered = Backoff(first_seconds=1, most_seconds=8)
    recovered.fail()
    recovered.succeed()
    assert recovered.fail() <= 1
