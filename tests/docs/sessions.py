"""The samples of a page, run as a reader would run them: one session in a shell, step by step.

A `console` block has a command on each line that begins with `$`, and below it the lines that the command prints, if
the page shows them. A `python` block is a step of its own. The rules:

- Where a page shows what a command prints, on stdout or stderr, the command prints that and nothing else. `…` stands
  for anything within a line, a line `…` for any lines, and columns have any width.
- A command succeeds, unless the page shows its exit code with `echo $?`.
- A command that ends with `&` runs on beside the others. The next command waits until it has printed what is shown.
- A question (`kharvest references`, `kharvest files`) is asked again until the answer is as shown: clients announce
  files when they have settled.
- What a shell says of its jobs is not shown. Addresses on this machine are exchanged for free ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a sample needs that is here already: installing kharvest, and the verbs of a clone.
_LEFT_OUT = ("pip install", "make ")
_QUESTIONS = ("kharvest references", "kharvest files")
_END = "--- the end of a step, with exit code"
_PATIENCE_SECONDS = 120.0
_SESSION_SECONDS = 600.0


@dataclass(frozen=True)
class Step:
    """One command, and the lines that the page shows of what it prints."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def is_job(self) -> bool:
        return self.command.endswith(" &")

    @property
    def is_question(self) -> bool:
        return self.command.startswith(_QUESTIONS)


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page, each with its language."""
    return [(match[1], match[2]) for match in _BLOCK.finditer(text)]


def steps(text: str) -> list[Step]:
    """What a reader of a page would run."""
    found: list[Step] = []
    for language, block in blocks(text):
        if language == "python":
            found.append(Step(f"python - <<'SAMPLE'\n{block.rstrip()}\nSAMPLE"))
        elif language == "console":
            for line in block.splitlines():
                if line.startswith("$ "):
                    found.append(Step(line.removeprefix("$ ")))
                elif line and block.startswith("$ "):
                    found[-1].shown.append(line)
    return [step for step in found if not step.command.startswith(_LEFT_OUT)]


def pattern(shown: Sequence[str]) -> re.Pattern[str]:
    """What lines that are shown stand for. Each `…` within a line is a group."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else rf" *{_line(line)} *\n" for line in shown]
    return re.compile("".join(lines))


def _line(line: str) -> str:
    return r" +".join("(.*?)".join(map(re.escape, word.split("…"))) for word in line.split())


class SampleFailed(AssertionError):
    """A step did not do what the page shows."""

    def __init__(self, step: Step, problem: str, output: str) -> None:
        shown = "\n".join(step.shown)
        super().__init__(f"$ {step.command}\n{problem}\n--- shown:\n{shown}\n--- printed:\n{output}")


class Session:
    """A shell in a folder, in which the steps of a page are run."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={**os.environ, "PATH": path, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._logs = folder.with_name(f"{folder.name}-jobs")
        self._logs.mkdir()
        self._code = 0
        self.jobs: list[tuple[Step, Path]] = []
        # It is killed with its jobs, which end with it.
        self._timer = threading.Timer(_SESSION_SECONDS, self._shell.kill)
        self._timer.start()
        self._do("set -m -o pipefail; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT")

    def run(self, step: Step, *, may_fail: bool) -> str:
        """Run a step; return what it printed.

        Raises:
            SampleFailed: it printed something else than is shown, or failed.
        """
        if step.is_job:
            return self._start(step)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            output = self._do(step.command)
            if self._code and not may_fail:
                raise SampleFailed(step, f"it exited with {self._code}", output)
            if not step.shown or pattern(step.shown).fullmatch(output):
                return output
            if not step.is_question or time.monotonic() > deadline:
                raise SampleFailed(step, "it printed something else", output)

    def close(self) -> None:
        """End the shell and what it runs."""
        self._stdin.close()
        self._shell.wait(_PATIENCE_SECONDS)
        self._timer.cancel()
        self._stdout.close()

    @property
    def _stdin(self) -> IO[str]:
        assert self._shell.stdin is not None
        return self._shell.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._shell.stdout is not None
        return self._shell.stdout

    def _start(self, step: Step) -> str:
        log = self._logs / f"{len(self.jobs) + 1}"
        log.touch()
        self.jobs.append((step, log))
        with _writes(self._logs) as written:
            self._do(f"{step.command.removesuffix(' &')} > '{log}' 2>&1 &")
            if not step.shown:
                return ""
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while True:
                written.clear()  # before reading: what is written afterwards is told of
                output = log.read_text()
                if pattern(step.shown).fullmatch(output):
                    return output
                if not written.wait(deadline - time.monotonic()):
                    raise SampleFailed(step, "it printed something else", output)

    def _do(self, command: str) -> str:
        # Bash reads its commands from stdin: what it runs must not.
        self._write(f"(exit {self._code})\n{{ {command}\n}} </dev/null\nprintf '\\n{_END} %d\\n' $?\n")
        output = ""
        for line in self._stdout:
            if line.startswith(_END):
                self._code = int(line.removeprefix(_END))
                return output.removesuffix("\n")
            output += line
        raise AssertionError(f"the shell ended in: {command}\n---\n{output}")

    def _write(self, text: str) -> None:
        self._stdin.write(text)
        self._stdin.flush()


class _Teller(FileSystemEventHandler):
    def __init__(self, written: threading.Event) -> None:
        self._written = written

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002
        self._written.set()


@contextmanager
def _writes(folder: Path) -> Iterator[threading.Event]:
    """An event that is set whenever a file of the folder is written to."""
    written = threading.Event()
    observer = Observer()
    observer.schedule(_Teller(written), str(folder))
    observer.start()
    try:
        yield written
    finally:
        observer.stop()
        observer.join()


@contextmanager
def session(folder: Path, environment: Mapping[str, str]) -> Iterator[Session]:
    """A session in a folder; what it leaves running is stopped with it."""
    running = Session(folder, environment)
    try:
        yield running
    finally:
        running.close()
