"""stdout carries data, stderr the rest; JSON fields are stable; exit codes tell what happened."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from harness import Pod, ServerThread, removal

from kharvest.cli.main import run

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, object]]:
        loaded: list[dict[str, object]] = json.loads(self.out)
        return loaded


Kharvest = Callable[..., Run]


@pytest.fixture
def kharvest(server: ServerThread, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kharvest:
    """The command line, asking a server that two pods have announced to."""
    monkeypatch.setenv("KHARVEST_SERVER", server.address)
    with Pod(server.address, "web-1", metadata={"app": "web"}) as first, Pod(server.address, "web-2") as second:
        first.harvest_files({"/etc/app.conf": b"one\n", "/etc/other": b"other"})
        second.harvest_files({"/etc/app.conf": b"one\n"})
        second.harvest_files({"/etc/app.conf": b"two\n"})
        first.announce(removal("/etc/other"))

    def call(*arguments: str) -> Run:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return call


def test_references_as_json_have_the_documented_fields(kharvest: Kharvest) -> None:
    found = kharvest("references", "--pod", "shop/web-1", "-o", "json")
    assert (found.code, found.err) == (0, "")
    first, _second, gone = found.json
    assert RFC3339.fullmatch(str(first.pop("observed_at")))
    assert first == {
        "path": "/etc/app.conf",
        "md5": hashlib.md5(b"one\n").hexdigest(),
        "sha256": hashlib.sha256(b"one\n").hexdigest(),
        "size": 4,
        "namespace": "shop",
        "pod": "web-1",
        "metadata": {"app": "web"},
    }
    assert (gone["path"], gone["md5"], gone["sha256"], gone["size"]) == ("/etc/other", "0" * 32, None, None)


def test_files_as_json_have_the_documented_fields(kharvest: Kharvest) -> None:
    found = kharvest("files", "--path", "/etc/app.conf", "--md5", hashlib.md5(b"one\n").hexdigest(), "-o", "json")
    (file,) = found.json
    assert RFC3339.fullmatch(str(file.pop("first_seen")))
    assert RFC3339.fullmatch(str(file.pop("last_seen")))
    assert file == {
        "path": "/etc/app.conf",
        "md5": hashlib.md5(b"one\n").hexdigest(),
        "sha256": hashlib.sha256(b"one\n").hexdigest(),
        "size": 4,
        "pods": 2,
    }


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ([], 5),
        (["--namespace", "shop"], 5),
        (["--namespace", "bank"], 0),
        (["--path", "/etc/app*"], 3),
        (["--path", "/etc/**", "--latest"], 3),
        (["-l", "app=web"], 3),
        (["-l", "app=web", "-l", "zone=a"], 0),
        (["--md5", "0" * 32], 1),
        (["--since", "1h"], 5),
        (["--until", "1h"], 0),
        (["--since", "2000-01-01T00:00:00Z", "--until", "2000-01-02T00:00:00+02:00"], 0),
        (["--limit", "2"], 2),
        (["--newest-first", "--limit", "1"], 1),
    ],
)
def test_filters_restrict(kharvest: Kharvest, filters: list[str], rows: int) -> None:
    found = kharvest("references", *filters, "-o", "json")
    assert found.code == 0
    assert len(found.json) == rows


def test_a_table_is_for_people_and_has_no_colour(kharvest: Kharvest) -> None:
    for command, output in (("references", "table"), ("references", "wide"), ("files", "table"), ("files", "wide")):
        found = kharvest(command, "-o", output)
        assert found.code == 0
        head, *body = found.out.splitlines()
        assert "PATH" in head
        assert len(body) == (5 if command == "references" else 3)
        assert "\x1b" not in found.out
    assert "removed" in kharvest("references").out
    assert "app=web" in kharvest("references", "-o", "wide").out


def test_a_path_cannot_disturb_the_terminal(server: ServerThread, kharvest: Kharvest) -> None:
    with Pod(server.address, "evil") as pod:
        pod.harvest_files({"/etc/\x1b[2J\n": b"x"})
    table = kharvest("files", "--path", "/etc/[!a-z]*").out
    assert "\x1b" not in table
    assert r"/etc/\x1b[2J\n" in table


def cat(address: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "kharvest", "cat", "--server", address, *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


@pytest.mark.usefixtures("kharvest")
def test_cat_writes_the_bytes_of_the_version_that_is_meant(server: ServerThread) -> None:
    newest = cat(server.address, "/etc/app.conf")
    assert newest.stdout == b"two\n"
    assert b"2 versions" in newest.stderr
    assert cat(server.address, "/etc/app.conf", "--pod", "shop/web-1").stdout == b"one\n"
    assert cat(server.address, "/etc/app.conf", "--md5", hashlib.md5(b"one\n").hexdigest()).stdout == b"one\n"
    assert cat(server.address, "/etc/other").stdout == b"other"


def test_what_is_not_there_is_told_with_exit_code_4(kharvest: Kharvest) -> None:
    for arguments, told in (
        (["/etc/nothing"], "no pod has had"),
        (["/etc/other", "--pod", "shop/web-1"], "removed in pod shop/web-1"),
        (["/etc/other", "--pod", "shop/web-2"], "has no such file"),
        (["/etc/other", "--md5", "0" * 31 + "1"], "no version has MD5"),
    ):
        found = kharvest("cat", *arguments)
        assert (found.code, found.out) == (4, "")
        assert told in found.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["references", "--since", "yesterday"], "neither an RFC 3339 time"),
        (["references", "--md5", "xyz"], "32 hexadecimal digits"),
        (["references", "--pod", "web-1"], "NAMESPACE/NAME"),
        (["references", "-l", "app"], "KEY=VALUE"),
        (["references", "--limit", "-1"], "above 0"),
        (["references", "--since", "1h", "--until", "2h"], "after until"),
        (["references", "--pod", "shop/x", "--namespace", "bank"], "--namespace"),
        (["references", "--namespace", "n" * 64], "at most 63"),
        (["nonsense"], "invalid choice"),
        ([], "required"),
    ],
)
def test_words_that_are_off_are_told_with_exit_code_2(kharvest: Kharvest, arguments: list[str], told: str) -> None:
    found = kharvest(*arguments)
    assert (found.code, found.out) == (2, "")
    assert told in found.err


def test_a_server_that_is_away_is_told_with_exit_code_6(kharvest: Kharvest) -> None:
    found = kharvest("files", "--server", "127.0.0.1:1")
    assert (found.code, found.out) == (6, "")
    assert "127.0.0.1:1" in found.err
    assert "Traceback" not in found.err


def test_a_reader_that_had_enough_is_no_error(server: ServerThread) -> None:
    with Pod(server.address, "many") as pod:
        pod.harvest_files({f"/var/{number:05}": b"x" for number in range(900)})
    command = f"{sys.executable} -m kharvest references --server {server.address} -o json | head -n 1"
    shell = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False)
    assert shell.stderr == b""
    assert shell.returncode == 0


def test_a_duration_is_counted_back_from_now(kharvest: Kharvest) -> None:
    time.sleep(0.05)  # so that "0.01 s ago" is after what was announced, and no waiting for anything
    assert kharvest("references", "--since", "0.01s", "-o", "json").json == []
