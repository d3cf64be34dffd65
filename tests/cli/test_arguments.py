"""What is asked is answered as it was meant, or refused: no argument is ignored, and nothing found is said."""

from __future__ import annotations

import hashlib
import json

import pytest
from harness import Pod, ServerThread

from cli.programs import Kharvest
from kharvest.cli.pairs import format_pairs, parse_pairs


@pytest.fixture
def store_url() -> str:
    """One kind of store: what is refused does not depend on it."""
    return "memory:"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["references", "--since", "yesterday"], "neither an RFC 3339 time"),
        (["references", "--since", "2026-01-31T10:00:00"], "no time zone; write 2026-01-31T10:00:00Z for UTC"),
        (["references", "--until", "2026-01-31 10:00"], "no time zone"),
        (["references", "--since", "1790000000"], "neither an RFC 3339 time"),
        (["references", "--since", "99999999w"], "is before 1970"),
        (["references", "--since", "1h", "--until", "2h"], "after until"),
        (["references", "--md5", "xyz"], "32 hexadecimal digits"),
        (["references", "--md5", "0" * 31], "32 hexadecimal digits"),
        (["references", "--md5", "0" * 33], "32 hexadecimal digits"),
        (["references", "--md5", "00 " * 16], "32 hexadecimal digits"),
        (["references", "--pod", "web-1"], "NAMESPACE/NAME"),
        (["references", "--pod", "shop/web/1"], "NAMESPACE/NAME"),
        (["references", "--pod", "shop/web-*"], "'web-*' is a pattern"),
        (["references", "--pod", "*/web-1"], "'*' is a pattern"),
        (["references", "--pod", "shop/x", "--namespace", "bank"], "--namespace"),
        (["references", "--namespace", "sh?p"], "'sh?p' is a pattern"),
        (["references", "--namespace", "n" * 64], "at most 63"),
        (["references", "--path", "*.yaml"], "'*.yaml' is relative, and paths are full; begin it with / or **/"),
        (["files", "--path", "etc/hosts"], "is relative"),
        (["files", "--path", ""], "is relative"),
        (["references", "-l", "app"], "KEY=VALUE"),
        (["references", "-l", "app!=web"], "!= is not supported"),
        (["references", "-l", "app in (web)"], "KEY=VALUE"),
        (["references", "-l", "app=web,"], "KEY=VALUE"),
        (["references", "-l", "app=web,app=db"], "given twice"),
        (["references", "-l", "app=web", "-l", "app=db"], "given twice"),
        (["references", "--limit", "-1"], "above 0"),
        (["references", "--limit", "0"], "above 0"),
        (["references", "--limit", "1.5"], "above 0"),
        (["references", "--path", "/a", "--path", "/b"], "--path: it is given twice"),
        (["references", "--since", "1h", "--since", "2h"], "--since: it is given twice"),
        (["references", "--late"], "unrecognized arguments: --late"),
        (["cat", "etc/hosts"], "'etc/hosts' is relative"),
        (["cat", "/etc/hosts", "--md5", "0"], "32 hexadecimal digits"),
        (["cat", "/etc/hosts", "--pod", "shop/web-*"], "is a pattern"),
        (["nonsense"], "invalid choice"),
        ([], "required"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_with_exit_code_2(
    unserved: Kharvest, arguments: list[str], told: str
) -> None:
    found = unserved(*arguments)
    assert (found.code, found.out) == (2, "")
    assert told in found.err


@pytest.mark.parametrize("output", ["table", "wide", "json"])
@pytest.mark.parametrize("command", ["references", "files"])
def test_nothing_found_is_said_on_stderr_with_exit_code_0(kharvest: Kharvest, command: str, output: str) -> None:
    found = kharvest(command, "--namespace", "bank", "-o", output)
    assert found.code == 0
    assert found.out == ("[]\n" if output == "json" else "")
    assert found.err.startswith(f"kharvest {command}: nothing matches; ")
    assert found.err.count("\n") == 1


def test_pairs_are_selected_as_kubectl_does(server: ServerThread, kharvest: Kharvest) -> None:
    with Pod(server.address, "web-3", metadata={"app": "web", "tier": "front", "note": "a,b"}) as pod:
        pod.harvest_files({"/etc/app.conf": b"one\n"})
    for selector in ("app=web,tier=front", "app==web, tier=front", "tier=front", r"note=a\,b"):
        (found,) = kharvest("references", "-l", selector, "-o", "json").json
        assert found["pod"] == "web-3"
    assert len(kharvest("references", "-l", "app=web", "-o", "json").json) == 4


def test_the_metadata_that_a_table_prints_can_be_selected_by(server: ServerThread, kharvest: Kharvest) -> None:
    metadata = {"note": "=a\\,b\n\x1b[2J\u202e ", " k=!": "", "json": '{"a": [1, 2]}'}
    with Pod(server.address, "web-3", metadata=metadata) as pod:
        pod.harvest_files({"/etc/app.conf": b"one\n"})
    row = kharvest("references", "--pod", "shop/web-3", "-o", "wide").out.splitlines()[-1]
    printed = row[row.index("\\ k") :]
    (found,) = kharvest("references", "-l", printed, "-o", "json").json
    assert found["metadata"] == metadata


@pytest.mark.parametrize(
    "text", [" ", "a b", " x ", "=", "==", "!", "!=", ",", "\\", "\\,", "\\n", "\n", "\x1b", "ü🚀\u2066", "a!"]
)
def test_every_key_and_value_is_read_as_it_was_written(text: str) -> None:
    pairs = {f"k{text}": text, text: f"{text}v"}
    assert parse_pairs(format_pairs(pairs)) == pairs
    assert format_pairs(pairs).isprintable()


def test_a_time_that_is_printed_can_be_given_back(kharvest: Kharvest) -> None:
    everything = kharvest("references", "-o", "json").json
    head, *rows = kharvest("references").out.splitlines()
    assert head.startswith("OBSERVED")
    printed = [row.split()[0] for row in rows]
    assert printed == [one["observed_at"] for one in everything]
    assert all(time.endswith("Z") for time in printed)
    since = kharvest("references", "--since", printed[2], "-o", "json").json
    until = kharvest("references", "--until", printed[2], "-o", "json").json
    assert until + since == everything
    assert len(until) == 2
    (row,) = kharvest("files", "--md5", hashlib.md5(b"two\n").hexdigest()).out.splitlines()[1:]
    seen = row.split()[-1]
    assert [
        one["observed_at"] for one in kharvest("references", "--since", seen, "--limit", "1", "-o", "json").json
    ] == [seen]


def test_json_is_one_document_whatever_is_in_it(server: ServerThread, kharvest: Kharvest) -> None:
    with Pod(server.address, "web-3", metadata={"note": '"\n\x1b'}) as pod:
        pod.harvest_files({'/etc/"\n\x1b\u202e': b"x"})
    out = kharvest("references", "--pod", "shop/web-3", "-o", "json").out
    assert json.loads(out)[0]["path"] == '/etc/"\n\x1b\u202e'
    assert out.isascii()
    assert "\x1b" not in out
