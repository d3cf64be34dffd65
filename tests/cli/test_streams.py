"""stdout is data, whole, or the command says that it is not; stderr is the rest; neither takes the other's place."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from harness import Pod, ServerThread

from cli.programs import run_redirected
from kharvest.cli.output import write_json, write_table

BIG = bytes(range(256)) * 8192


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    """A server with enough rows and bytes to fill any pipe."""
    with ServerThread("memory:") as running, Pod(running.address, "many") as pod:
        pod.harvest_files({f"/var/{number:05}": b"x" for number in range(900)})
        pod.harvest_files({"/big": BIG})
        yield running


COMMANDS = (
    ("references",),
    ("references", "-o", "json"),
    ("files", "-o", "wide"),
    ("cat", "/big"),
    ("cat", "/var/00001"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "said"), [(">&-", "stdout is closed"), (">/dev/full", "No space left on device")]
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_or_full_stdout_is_one_line_and_exit_code_1(
    server: ServerThread, command: tuple[str, ...], redirection: str, said: str
) -> None:
    run = run_redirected(redirection, *command, "--server", server.address)
    assert run.returncode == 1
    (line,) = run.stderr.decode().splitlines()
    assert line.startswith(f"kharvest {command[0]}: ")
    assert said in line
    assert run.stdout == b""


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        ("--help",),
        ("references", "--help"),
        ("stores",),
        ("stores", "--json"),
        ("client", "--check-config", "/etc/hosts"),
        ("server", "--store", "memory:", "--listen", "127.0.0.1:0"),
    ],
    ids=" ".join,
)
def test_so_it_is_for_what_asks_no_server(command: tuple[str, ...], redirection: str) -> None:
    run = run_redirected(redirection, *command)
    assert run.returncode == 1
    assert run.stdout == b""
    assert run.stderr.decode().splitlines()[-1].startswith("kharvest")
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_harvesting_once_tells_that_its_summary_is_lost(server: ServerThread, tmp_path: Path, redirection: str) -> None:
    (tmp_path / "file").touch()
    options = ("--server", server.address, "--pod", "p", "--log-level", "error", str(tmp_path / "file"))
    run = run_redirected(redirection, "client", "--once", "-o", "json", *options)
    assert run.returncode == 1
    assert run.stderr.decode().startswith("kharvest client: ")
    assert run.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_had_enough_is_no_error(server: ServerThread, command: tuple[str, ...]) -> None:
    run = run_redirected("| head -c 2", *command, "--server", server.address)
    assert run.stderr == b""
    assert run.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_told_does_not_go_to_stdout(server: ServerThread, redirection: str) -> None:
    run = run_redirected(redirection, "cat", "/nowhere", "--server", server.address)
    assert (run.returncode, run.stdout) == (4, b"")
    run = run_redirected(redirection, "references", "--limit", "0")
    assert (run.returncode, run.stdout) == (2, b"")
    run = run_redirected(redirection, "cat", "/var/00001", "--server", server.address)
    assert (run.returncode, run.stdout) == (0, b"x")


def test_what_goes_to_one_place_is_in_the_order_in_which_it_was_said(server: ServerThread, tmp_path: Path) -> None:
    harvest = ("client", "--once", "--pod", "web-1", "--server", server.address, str(tmp_path / "missing"))
    run = run_redirected("2>&1", *harvest)
    *table, failure = run.stdout.decode().splitlines()[1:]
    assert [line.split()[0] for line in table] == ["announced", "acknowledged", "uploaded", "uploaded", "refused"]
    assert "NO_SUCH_FILE" in failure


def test_no_stream_at_all_ends_with_an_exit_code(server: ServerThread) -> None:
    assert run_redirected("<&- 2>&-", "cat", "/big", "--server", server.address).stdout == BIG
    assert run_redirected("<&- >&- 2>&-", "cat", "/big", "--server", server.address).returncode == 1


class Screen:
    """A pipe as stdout, and the rows that are asked for only when the reader has seen those before."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.written = os.fdopen(write, "w")
        self._read = os.fdopen(read)
        self._seen = threading.Event()
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        for line in self._read:
            self.lines.append(line)
            if len(self.lines) == 500:
                self._seen.set()

    def rows(self) -> Iterator[int]:
        yield from range(1000)
        assert self._seen.wait(60), "the first rows are held back"
        yield from range(1000, 1500)

    def close(self) -> None:
        self.written.close()
        self._thread.join()
        self._read.close()


@pytest.fixture
def screen() -> Iterator[Screen]:
    opened = Screen()
    yield opened
    opened.close()


def test_a_table_shows_its_first_rows_before_the_next_are_asked_for(screen: Screen) -> None:
    with redirect_stdout(screen.written):
        assert write_table(("N", "PATH"), ((str(number), "/a") for number in screen.rows())) == 1500
    screen.close()
    assert [line.split() for line in screen.lines] == [["N", "PATH"], *([str(n), "/a"] for n in range(1500))]


def test_json_shows_its_first_rows_before_the_next_are_asked_for(screen: Screen) -> None:
    with redirect_stdout(screen.written):
        assert write_json({"n": number} for number in screen.rows()) == 1500
    screen.close()
    assert json.loads("".join(screen.lines)) == [{"n": n} for n in range(1500)]


def test_the_memory_of_a_table_does_not_grow_with_its_rows() -> None:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
        tracemalloc.start()
        try:
            assert write_table(("N", "PATH"), ((str(number), "/etc/app.conf") for number in range(8000))) == 8000
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_columns_stand_under_each_other_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("PATH", "SIZE"), [("/etc/a", "1"), ("/etc/漢字", "2"), ("/etc/e\u0301", "3"), ("/etc/\x1b", "4")])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "PATH       SIZE"
    assert rows == ["/etc/a     1", "/etc/漢字  2", "/etc/e\u0301     3", "/etc/\\x1b  4"]
