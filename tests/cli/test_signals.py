"""SIGTERM and SIGINT end every command, whichever thread of it the kernel delivers them to."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from harness import ServerProcess

PATIENCE_SECONDS = 30.0
LIBC = ctypes.CDLL(None, use_errno=True)


def signal_another_thread(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Deliver a signal to a thread that is not the main one, as the kernel may do with one for the process."""
    threads = names_of_threads(process.pid)
    main = threads.pop(process.pid)
    # gRPC ends threads that have nothing to do, and a signal is lost with its thread: so take one of Python's.
    thread = min(threads, key=lambda thread: (threads[thread] != main, thread))
    assert LIBC.tgkill(process.pid, thread, number) == 0, os.strerror(ctypes.get_errno())


def names_of_threads(pid: int) -> dict[int, str]:
    """What the kernel calls the threads of a process; Python's have the name of the main one."""
    names = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            names[int(task.name)] = (task / "comm").read_text()
    return names


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kharvest", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_SECONDS)
        yield listening


def address(listening: socket.socket) -> str:
    return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_client_ends(mute: socket.socket, tmp_path: Path, number: signal.Signals) -> None:
    with running("client", "--server", address(mute), "--grace", "0.1", str(tmp_path / "file")) as process:
        mute.accept()[0].close()
        signal_another_thread(process, number)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_second_signal_ends_the_client_at_once(mute: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running("client", "--server", address(mute), "--grace", "600", str(tmp_path / "file")) as process:
        mute.accept()[0].close()
        signal_another_thread(process, signal.SIGTERM)
        while process.poll() is None:  # until the first has arrived, another one is the first
            signal_another_thread(process, signal.SIGTERM)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_client_that_harvests_once_ends(mute: socket.socket, tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "file").touch()
    with running("client", "--once", "--server", address(mute), str(tmp_path / "file")) as process:
        mute.accept()[0].close()
        signal_another_thread(process, number)
        assert process.wait(PATIENCE_SECONDS) == 130


@pytest.mark.slow
@pytest.mark.parametrize("command", ["references", "files", "cat"])
def test_a_question_ends(mute: socket.socket, command: str) -> None:
    with running(command, "--server", address(mute), *(["/etc/hosts"] if command == "cat" else [])) as process:
        connection, _peer = mute.accept()
        with connection:
            signal_another_thread(process, signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 130


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_server_ends(number: signal.Signals, code: int) -> None:
    with ServerProcess("memory:") as server:
        signal_another_thread(server.process, number)  # type: ignore[arg-type]  # the pipes' type does not matter
        assert server.process.wait(PATIENCE_SECONDS) == code


def test_a_program_that_waits_for_its_client_is_not_kept_from_its_signals(mute: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = (
        "import sys; from kharvest.client import *\n"
        "client = Client(ClientConfig(server=sys.argv[1], pod='p', paths=(sys.argv[2],), grace_seconds=0))\n"
        "with client: client.flush(600)"
    )
    command = [sys.executable, "-c", program, address(mute), str(tmp_path / "file")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        mute.accept()[0].close()
        signal_another_thread(process, signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert "KeyboardInterrupt" in err
