"""No name from elsewhere commands a terminal or ends a line, and a path is the same under every locale."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness import Pod, ServerThread

from cli.programs import Kharvest, run_program
from kharvest.cli.logs import configure_logs
from kharvest.cli.text import escape, one_line, unescape
from kharvest.cli.textlog import configure_text_log
from kharvest.registry import Secrets

ESC = "\x1b"


@pytest.fixture
def store_url() -> str:
    """One kind of store: what is shown does not depend on it."""
    return "memory:"


EVIL = f"{ESC}]0;pwned{ESC}\\{ESC}[31m\nline\rbreak\ttab\x7f\x9b\u202egpj.exe\u2066\u200b\udcff\u2028"
FORGED = "\nkharvest client: everything was acknowledged"
UMLAUT = "grüße-🚀.txt"


@pytest.mark.parametrize("text", ["", "plain", "ü 漢字 🚀", "\\", "\\x1b", "\\\\n", EVIL, EVIL + "\\", "\U000e0001"])
def test_an_escape_is_printable_and_can_be_taken_back(text: str) -> None:
    assert escape(text).isprintable()
    assert unescape(escape(text)) == text
    assert escape(escape(text)) == escape(text)


def test_bash_reads_an_escape_too() -> None:
    text = EVIL.replace("\udcff", "")
    run = subprocess.run(["bash", "-c", f"printf %s $'{escape(text)}'"], capture_output=True, check=True, env=UTF8)
    assert run.stdout.decode() == text


UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}


def test_tables_are_free_of_control_characters(server: ServerThread, kharvest: Kharvest) -> None:
    evil = EVIL.replace("\udcff", "")
    with Pod(server.address, "web-3\u202e", metadata={f"note{ESC}": evil}) as pod:
        pod.harvest_files({f"/evil/{evil}": b"x"})
    for command in ("references", "files"):
        for output in ("table", "wide"):
            found = kharvest(command, "--path", "/evil/**", "-o", output)
            assert all(line.isprintable() for line in found.out.splitlines())
            assert found.out.count("\n") == 2
            assert escape(f"/evil/{evil}") in found.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("cat", f"/gone{EVIL}"),
        ("cat", f"/gone{EVIL}", "--pod", f"shop/x{EVIL}"),
        ("references", "--since", EVIL),
        ("references", "--pod", EVIL),
        ("references", "--pod", f"shop/*{EVIL}"),
        ("references", "-l", EVIL),
        ("references", "-l", f"a=b{EVIL},c"),
        ("references", EVIL),
        ("references", f"--{EVIL}"),
        (EVIL,),
        ("cat", "/etc/hosts", "--server", f"nowhere{EVIL}:1"),
        ("client", "--once", "--root", "/r", f"/etc/{EVIL}"),
        ("client", "--check-config", "--config", f"/gone/{EVIL}.yaml"),
        ("server", "--store", f"nosuch{EVIL}:"),
    ],
    ids=range(14),
)
def test_errors_are_free_of_control_characters(unserved: Kharvest, arguments: tuple[str, ...]) -> None:
    found = unserved(*arguments)
    assert found.code not in {0, 1}
    assert found.out == ""
    lines = found.err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("kharvest")


def test_a_failure_of_harvesting_once_is_one_line(server: ServerThread, tmp_path: Path, kharvest: Kharvest) -> None:
    (tmp_path / f"x{ESC}]0;pwned").touch()
    (tmp_path / f"x{ESC}]0;pwned").chmod(0)
    gone = f"{tmp_path}/gone{ESC}[31m{FORGED}"
    found = kharvest("client", "--once", "--server", server.address, "--pod", "p", gone)
    assert found.code == 1
    assert ESC not in found.err + found.out
    assert FORGED not in found.err
    assert f"kharvest client: {escape(gone)}: no such file" in found.err


@pytest.mark.parametrize("log_format", ["text", "json", "client"])
def test_log_lines_are_free_of_control_characters(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        if log_format == "client":
            configure_text_log("info")
        else:
            configure_logs(log_format, "info", Secrets("memory:"))
        logging.getLogger("kharvest.test").warning("the path %s", EVIL, extra={"path": EVIL})
        try:
            int(EVIL)
        except ValueError:
            logging.getLogger("kharvest.test").exception("failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)
    assert sum("the path" in line for line in lines) == 1
    assert any("ValueError" in line and one_line(ESC) in line.replace("\\\\", "\\") for line in lines)


LOCALES: Mapping[str, Mapping[str, str]] = {
    "C": {"LC_ALL": "C"},
    "none": {"LC_ALL": "", "LANG": ""},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII streams": {"PYTHONIOENCODING": "ascii"},
    "Latin-1": {"LC_ALL": "de_DE.ISO-8859-1"},
}


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a locale of Latin-1, which few machines have."""
    directory = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(directory / "de_DE.ISO-8859-1")]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("locale", LOCALES)
def test_a_path_is_the_same_under_every_locale(
    server: ServerThread, tmp_path: Path, latin_1: Path, locale: str
) -> None:
    environment = {**LOCALES[locale], "LOCPATH": str(latin_1), "KHARVEST_SERVER": server.address}
    file = tmp_path / UMLAUT
    file.write_text("content")
    run = run_program(
        "client", "--once", "--pod", "p", str(file), "--directory", str(tmp_path), environment=environment
    )
    assert run.returncode == 0, run.stderr
    run = run_program("cat", str(file), environment=environment)
    assert (run.returncode, run.stdout) == (0, b"content")
    run = run_program("references", "--path", "**/grü*", "--pod", "default/p", environment=environment)
    (row,) = run.stdout.decode("utf-8").splitlines()[1:]
    assert str(file) in row
    assert run.stderr == b""
    run = run_program("cat", "/gone/ü", environment=environment)
    assert (run.returncode, "/gone/ü: no pod" in run.stderr.decode("utf-8")) == (4, True)


def test_bytes_that_are_no_text_are_told_as_such(server: ServerThread, tmp_path: Path) -> None:
    run = run_program("cat", b"/etc/\xff", "--server", server.address)
    assert run.returncode == 2
    assert run.stderr.decode().isascii()
    assert b"surrogate" in run.stderr
    assert b"Traceback" not in run.stderr
    file = os.fsencode(tmp_path) + b"/\xff"
    os.close(os.open(file, os.O_CREAT))
    run = run_program("client", "--once", "--server", server.address, "--pod", "p", file)
    assert run.returncode == 1
    assert rb"\udcff: its name is not UTF-8" in run.stderr
