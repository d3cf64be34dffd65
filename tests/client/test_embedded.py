"""The client inside a program: it works beside it, and never against it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness import Pod, ServerThread

from client.watched import PATIENCE_SECONDS, Watched, config, md5, until
from kharvest.client import Client, ClientConfig, ConfigurationError


def test_close_brings_a_file_written_just_before_to_the_server(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    report = tmp_path / "report"
    with Client(config(harvest_server.address, [report], pod=pod_name)):
        report.write_text("the last words")
    with Pod(harvest_server.address) as reader:
        assert [one.file.md5 for one in reader.references(pod=pod_name)] == [md5(b"the last words")]


def test_flush_waits_for_the_acknowledgement_of_all_that_is_there(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    files = [tmp_path / str(number) for number in range(20)]
    with Watched(harvest_server.address, *files, pod=pod_name) as watched:
        for file in files:
            file.write_text(file.name)
        assert watched.client.flush(PATIENCE_SECONDS)
        assert watched.newest() == {str(file): md5(file.name.encode()) for file in files}
        status = watched.client.status()
        assert (status.watched, status.acknowledged, status.pending, status.uploaded) == (20, 20, 0, 20)


def test_flush_and_close_tell_when_the_server_is_away_and_take_no_longer_than_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with Client(config("127.0.0.1:1", [file])) as client:
        assert not client.flush(0.3)
        until(lambda: client.status().failure is not None, "the failure to be noticed")
        status = client.status()
        assert not status.connected
        assert "Connection refused" in (status.failure or "")
        assert status.pending == 1
        assert not client.close(0.3)


def test_every_thread_ends_with_close_and_closing_twice_is_allowed(
    harvest_server: ServerThread, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    client = Client(config(harvest_server.address, [tmp_path / "file"]))
    with client:
        (tmp_path / "file").touch()
        assert client.flush(PATIENCE_SECONDS)
    client.close()
    ours = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("kharvest")]
    assert ours == []


def test_nothing_global_is_touched(harvest_server: ServerThread, tmp_path: Path) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    root = logging.getLogger()
    logs = (list(root.handlers), root.level, logging.getLogger("kharvest.client").level)
    with Client(config(harvest_server.address, [tmp_path / "file"])):
        assert {number: signal.getsignal(number) for number in handlers} == handlers
        assert (list(root.handlers), root.level, logging.getLogger("kharvest.client").level) == logs


# The thread of gRPC that watches a channel may look once more when the channel was closed, and say so.
@pytest.mark.filterwarnings("ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_fork_the_child_is_told_and_the_parent_goes_on(harvest_server: ServerThread, tmp_path: Path) -> None:
    program = """
import os, sys
from kharvest.client import Client, ClientConfig, ForkedError

config = ClientConfig(server=sys.argv[1], pod="forking", paths=(sys.argv[2],), settle_seconds=0.05)
with Client(config) as client:
    child = os.fork()
    if child == 0:
        for use in (client.status, lambda: client.flush(1), lambda: Client(config).start()):
            try:
                use()
            except ForkedError as error:
                assert "start it after the fork" in str(error), error
            else:
                os._exit(1)
        client.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.flush(10), client.status()
print("done")
"""
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", program, harvest_server.address, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_program_that_ends_without_close_ends(harvest_server: ServerThread, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = (
        "import sys; from kharvest.client import *; "
        "c = Client(ClientConfig(server=sys.argv[1], pod='p', paths=(sys.argv[2],))); c.start(); c.flush(10)"
    )
    command = [sys.executable, "-c", program, harvest_server.address, str(tmp_path / "file")]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server": ""}, "server: '' is not an address; give HOST or HOST:PORT"),
        ({"pod": ""}, "pod: it is empty"),
        ({"pod": "x" * 254}, "pod: 254 bytes"),
        ({"namespace": "é" * 32}, "namespace: 64 bytes"),
        ({"metadata": {"key": "x" * 4097}}, "metadata 'key': 4097 bytes"),
        ({"metadata": {str(number): "" for number in range(65)}}, "metadata: 65 pairs, at most 64 are allowed"),
        ({"metadata": {"a\0b": ""}}, "holds a NUL"),
        ({"pod": "\udce9"}, "not valid Unicode"),
        ({"paths": ("",)}, "path: it is empty"),
        ({"paths": ("/a\0b",)}, "path: '/a\\x00b' holds a NUL"),
        ({"settle_seconds": -1}, "settle_seconds: -1 is out of range; give 0 or more"),
        ({"settle_seconds": 2, "settle_max_seconds": 1}, "settle_max_seconds: 1 is out of range"),
        ({"rescan_seconds": 0}, "rescan_seconds: 0 is out of range"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_when_it_is_made(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ClientConfig(**{"server": "localhost:1", "pod": "web-1", **settings})  # type: ignore[arg-type]
    assert said in str(raised.value)


def test_paths_are_made_absolute_and_keep_their_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/below")
    monkeypatch.chdir(tmp_path)

    def paths(*given: str) -> tuple[str, ...]:
        return tuple(map(str, ClientConfig(server="s", pod="p", paths=given).paths))

    assert paths("a", "./link//b", "real/../c", "a") == tuple(f"{tmp_path}/{name}" for name in ("a", "link/b", "c"))
    with pytest.raises(ConfigurationError, match="goes up through a symbolic link"):
        paths("link/../c")
    assert os.fspath(tmp_path) in paths("x")[0]
