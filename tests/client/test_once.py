"""`kharvest client --once`, as a process, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import Pod, ServerThread

from client.scripted import Context, ScriptedServer, refuse
from client.watched import config, md5
from kharvest.client import harvest_once
from kharvest.wire import v2_pb2 as v2

PATIENCE_SECONDS = 60


def once(server: str, *arguments: Path | str | bytes, prefix: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], str]:
    """Run it; the exit code, the object that it printed, and what it wrote to stderr."""
    command = [*prefix, sys.executable, "-m", "kharvest", "client", "--server", server, "--once", "-o", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    return done.returncode, json.loads(done.stdout or b"null"), done.stderr.decode(errors="replace")


def test_it_announces_uploads_what_is_missing_and_counts(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "ten").write_bytes(b"0123456789")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(os.urandom(1_000_000))
    files = sorted(tmp_path.iterdir())
    told = {"announced": 3, "acknowledged": 3, "refused": 0, "failures": []}
    identity = ("--namespace", "shop", "--metadata", "app=web", "--metadata", "tier=front=end")
    first = once(harvest_server.address, *identity, "--pod", f"{pod_name}-1", *files)
    assert first[:2] == (0, told | {"uploaded": 3, "uploaded_bytes": 1_000_010})
    second = once(harvest_server.address, *identity, "--pod", f"{pod_name}-2", *files)
    assert second[:2] == (0, told | {"uploaded": 0, "uploaded_bytes": 0})
    with Pod(harvest_server.address) as reader:
        for pod in (f"{pod_name}-1", f"{pod_name}-2"):
            references = reader.references(pod=pod, namespace="shop", metadata={"app": "web", "tier": "front=end"})
            assert {one.file.path: one.file.md5 for one in references} == {
                str(file): md5(file.read_bytes()) for file in files
            }
        sha256 = next(one.file.sha256 for one in references if one.file.size == 1_000_000)
        assert reader.content(sha256) == (tmp_path / "large").read_bytes()


def test_what_cannot_be_harvested_is_named_with_the_reason_and_the_others_go_on(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "good").write_text(pod_name)
    os.mkfifo(tmp_path / "fifo")
    latin = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(latin)).touch()
    bad: list[Path | bytes] = [tmp_path / "nothing", tmp_path / "fifo", tmp_path, latin]
    code, told, stderr = once(harvest_server.address, "--pod", pod_name, *bad, tmp_path / "good")
    assert code == 3
    assert (told["announced"], told["acknowledged"], told["refused"]) == (1, 1, 0)
    assert [(failure["path"], failure["reason"]) for failure in told["failures"]] == [
        (str(tmp_path / "nothing"), "NO_SUCH_FILE"),
        (str(tmp_path / "fifo"), "NOT_A_FILE"),
        (str(tmp_path), "NOT_A_FILE"),
        (os.fsdecode(latin), "NOT_UTF8"),
    ]
    assert "it is a FIFO; name a regular file" in stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux) to give up root's rights")
def test_a_file_that_may_not_be_read_is_named_with_who_may_not(harvest_server: ServerThread, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o000)
    without_rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    code, told, _stderr = once(harvest_server.address, secret, prefix=without_rights)
    assert code == 1
    assert told["failures"] == [
        {
            "path": str(secret),
            "reason": "PERMISSION_DENIED",
            "message": f"Permission denied; let user {os.geteuid()} read it",
        }
    ]


def test_what_the_server_refuses_is_counted_and_explained(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2_000))
    (tmp_path / "small").write_bytes(bytes(10))
    with ServerThread("memory:", max_content_bytes=1_000) as server:
        code, told, _stderr = once(server.address, tmp_path / "large", tmp_path / "small")
    assert code == 3
    assert (told["acknowledged"], told["refused"]) == (1, 1)
    [failure] = told["failures"]
    assert (failure["path"], failure["reason"]) == (str(tmp_path / "large"), "CONTENT_TOO_LARGE")
    assert "2000 bytes" in failure["message"]


def test_a_server_that_is_away_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    started = time.monotonic()
    code, told, stderr = once("127.0.0.1:1", "--timeout", "1", tmp_path / "file")
    assert code == 6
    assert told["acknowledged"] == 0
    assert "gave up waiting for the server: no progress for 1 s" in stderr
    assert "127.0.0.1:1" in stderr
    assert "Connection refused" in stderr
    assert time.monotonic() - started < 10


def test_a_server_that_refuses_who_we_are_is_told_apart_from_one_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:  # noqa: ARG001
        refuse(context, grpc.StatusCode.UNAUTHENTICATED, message="who are you?")

    with ScriptedServer(announce) as server:
        code, _told, stderr = once(server.address, tmp_path / "file")
    assert code == 5
    assert "who are you? (UNAUTHENTICATED)" in stderr


def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ServerThread("memory:") as gone:
        address = gone.address
    command = [sys.executable, "-m", "kharvest", "client", "--server", address, "--once", str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        assert waiting.stderr is not None
        assert b"Connection refused" in waiting.stderr.readline()
        with ServerThread("memory:", listen=address), Pod(address) as reader:
            waiting.communicate(timeout=PATIENCE_SECONDS)
            assert waiting.returncode == 0
            assert len(reader.references()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is nothing to watch"),
        (("--pod", "x" * 254, "/etc/hosts"), "pod: 254 bytes"),
        (("--namespace", "x" * 64, "/etc/hosts"), "namespace: 64 bytes"),
        (("--metadata", "novalue", "/etc/hosts"), "'novalue' is not KEY=VALUE"),
        (("--settle-seconds", "-1", "/etc/hosts"), "settle_seconds: -1.0 is out of range"),
        (("--config", "/nothing/here"), "/nothing/here"),
        (("",), "path: it is empty"),
    ],
)
def test_a_call_that_makes_no_sense_is_explained_and_exits_2(arguments: tuple[str, ...], said: str) -> None:
    code, _told, stderr = once("127.0.0.1:1", *arguments)
    assert code == 2
    assert said in stderr


def test_paths_of_the_original_configuration_format_are_read(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "with space").write_text(pod_name)
    listed = tmp_path / "kharvest.conf"
    listed.write_text(f"# what to watch\n\n  {tmp_path}/with space  \n#{tmp_path}/not this\n")
    code, told, _stderr = once(harvest_server.address, "--pod", pod_name, "--config", listed)
    assert (code, told["acknowledged"], told["failures"]) == (0, 1, [])


def test_a_file_that_is_being_written_is_harvested_when_it_rests(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    file = tmp_path / "file"
    file.write_text("young")
    started = time.monotonic()
    settings = {"settle_seconds": 0.3, "pod": pod_name}
    assert harvest_once(config(harvest_server.address, [file], **settings), timeout=30).acknowledged == 1
    assert time.monotonic() - started >= 0.25


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux) to give up root's rights")
def test_what_could_not_be_searched_or_announced_is_among_the_failures(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    closed = tmp_path / "tree/closed"
    closed.mkdir(parents=True)
    (closed / "file").write_text("unreachable")
    (tmp_path / "tree/good").write_text(pod_name)
    latin = os.fsdecode(os.fsencode(tmp_path) + b"/tree/caf\xe9")
    Path(latin).touch()
    closed.chmod(0)
    without_rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    arguments = ("--pod", pod_name, "--directory", tmp_path / "tree", "--directory", tmp_path / "typo")
    try:
        code, told, stderr = once(harvest_server.address, *arguments, prefix=without_rights)
    finally:
        closed.chmod(0o700)
    assert (code, told["acknowledged"]) == (3, 1)
    assert {(failure["path"], failure["reason"]) for failure in told["failures"]} == {
        (str(closed), "PERMISSION_DENIED"),
        (latin, "NOT_UTF8"),
        (str(tmp_path / "typo"), "NO_SUCH_FILE"),
    }
    assert "no such directory; make it, or correct the path" in stderr


def test_a_glob_that_finds_nothing_is_no_failure(harvest_server: ServerThread, tmp_path: Path, pod_name: str) -> None:
    code, told, _stderr = once(harvest_server.address, "--pod", pod_name, "--glob", f"{tmp_path}/*.yaml")
    assert (code, told["failures"]) == (0, [])


@pytest.mark.parametrize(("acknowledged", "exits"), [(0, 1), (1, 3)])
def test_the_time_that_is_given_bounds_it_whatever_makes_progress(
    tmp_path: Path, acknowledged: int, exits: int
) -> None:
    files = [tmp_path / name for name in ("pending", "done")[: 1 + acknowledged]]
    for file in files:
        file.write_text(file.name)

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:  # noqa: ARG001
        answers = [v2.PENDING if file.path == str(files[0]) else v2.ACKNOWLEDGED for file in request.files]
        return v2.AnnounceReply(answers=answers, retry_after_ms=20)

    with ScriptedServer(announce) as server:
        code, told, stderr = once(server.address, "--timeout", "2", *files)
        assert len(server.announced(str(files[0]))) > 1
    assert (code, told["acknowledged"]) == (exits, acknowledged)
    assert [(failure["path"], failure["reason"]) for failure in told["failures"]] == [(str(files[0]), "UNANSWERED")]
    assert "gave up: not done within 2 s (TIMEOUT)" in stderr
