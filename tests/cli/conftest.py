"""A server that two pods have announced to, and the command line that asks it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from harness import Pod, ServerThread, removal

from cli.programs import Kharvest, Run
from kharvest.cli.main import run


@pytest.fixture
def kharvest(server: ServerThread, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kharvest:
    """The command line, asking a server that two pods have announced to."""
    monkeypatch.setenv("KHARVEST_SERVER", server.address)
    with Pod(server.address, "web-1", metadata={"app": "web"}) as first, Pod(server.address, "web-2") as second:
        first.harvest_files({"/etc/app.conf": b"one\n", "/etc/other": b"other"})
        second.harvest_files({"/etc/app.conf": b"one\n"})
        second.harvest_files({"/etc/app.conf": b"two\n"})
        first.announce(removal("/etc/other"))

    return lambda *arguments: _captured(capsys, arguments)


@pytest.fixture
def unserved(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kharvest:
    """The command line, where no server answers: for what is refused without one."""
    monkeypatch.setenv("KHARVEST_SERVER", "127.0.0.1:1")
    return lambda *arguments: _captured(capsys, arguments)


def _captured(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> Run:
    capsys.readouterr()
    code = run(arguments)
    captured = capsys.readouterr()
    return Run(code, captured.out, captured.err)
