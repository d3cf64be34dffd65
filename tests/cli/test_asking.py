"""stdout carries data, stderr the rest; JSON fields are stable; exit codes tell what happened."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time

import pytest
from harness import ServerThread

from cli.programs import Kharvest, run_program

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


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
        "uid": "",
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ([], 5),
        (["--namespace", "shop"], 5),
        (["--namespace", "bank"], 0),
        (["--uid", ""], 5),
        (["--uid", "0d1c"], 0),
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


def cat(address: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run_program("cat", "--server", address, *arguments)


@pytest.mark.slow
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


def test_a_server_that_is_away_is_told_with_exit_code_6(kharvest: Kharvest) -> None:
    found = kharvest("files", "--server", "127.0.0.1:1")
    assert (found.code, found.out) == (6, "")
    assert "127.0.0.1:1" in found.err
    assert "Traceback" not in found.err


def test_a_duration_is_counted_back_from_now(kharvest: Kharvest) -> None:
    time.sleep(0.05)  # so that "0.01 s ago" is after what was announced, and no waiting for anything
    assert kharvest("references", "--since", "0.01s", "-o", "json").json == []
