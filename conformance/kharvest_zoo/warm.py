"""Runs the suite on many stores, fast: each in a fork of a process that has collected it, to its first failure."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import kharvest_conformance
from kharvest_conformance._session import DEFAULT_EXAMPLES, SESSION
from kharvest_conformance.harness import Harness

_OPTIONS = [
    *("-c", os.devnull, "--rootdir", str(Path(kharvest_conformance.__file__).parent), "--noconftest"),
    *("--disable-plugin-autoload", "-p", "kharvest_conformance.plugin", "-p", "no:cacheprovider"),
    *(
        "--kharvest-patience=20",
        "-p",
        "no:faulthandler",
        "-W",
        "error",
        "--assert=plain",
        "--tb=no",
        "--capture=no",
        "-q",
    ),
    *("--pyargs", "kharvest_conformance"),
]
"""As the suite's own command runs it. Nobody reads the failures, so none is explained."""

_LEAST_LIMIT_SECONDS = 60.0
_LIMIT_FACTOR = 10
_CORRECT_SECONDS = 3600.0
"""How long a correct store may take. One that takes as many times as long as the factor says counts as caught."""

TIME_LIMIT = "the time limit"
"""What catches a store that takes too long."""


@dataclass(frozen=True)
class Case:
    """A store to run the suite on.

    Attributes:
        name: what reports call it.
        prepare: makes the harness, in the process that runs the suite; is given a folder of its own.
    """

    name: str
    prepare: Callable[[Path], Harness]


@dataclass(frozen=True)
class Verdict:
    """What came of a store.

    Attributes:
        caught_by: the test that failed, or `TIME_LIMIT`, or how the run ended; empty if all tests passed.
        seconds: how long each test took.
    """

    caught_by: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class _Running:
    case: Case
    pid: int
    ended: int
    folder: Path
    until: float

    @property
    def report(self) -> Path:
        return self.folder / "verdict.json"

    def end(self, late: bool) -> Verdict:
        """End it, and all that it has started; what it has reported."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.ended)
        try:
            return Verdict(*json.loads(self.report.read_text()))
        except FileNotFoundError:
            return Verdict(TIME_LIMIT if late else "the process ended")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class _Warm:
    """The plug-in of the one run of pytest, which forks when all tests are collected, and of each fork's."""

    cases: Iterable[Case]
    tell: Callable[[Case, Verdict], None]
    jobs: int
    limit_seconds: float
    order: list[str] = field(default_factory=list)
    """Of the tests, by their names; what is not in it comes last."""
    forked: _Running | None = None
    failed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        for case, verdict in self._judged(session):
            if verdict is None:
                self._prepare(case, session)
                return None  # pytest goes on and runs the tests, here in the fork
            self.tell(case, verdict)
        return True

    def _judged(self, session: pytest.Session) -> Iterator[tuple[Case, Verdict | None]]:
        """Each case with its verdict; in a fork, its case alone, without one."""
        waiting = iter(self.cases)
        running: dict[int, _Running] = {}
        try:
            while True:
                while len(running) < self.jobs and (case := next(waiting, None)) is not None:
                    one = _fork(case, self.limit_seconds)
                    if one.pid == 0:
                        running.clear()
                        self.forked = one
                        yield case, None
                        return
                    running[one.ended] = one
                if not running:
                    return
                patience = max(0.0, min(one.until for one in running.values()) - time.monotonic())
                ended = set(select.select(list(running), [], [], patience)[0])
                for number, one in list(running.items()):
                    if number in ended or time.monotonic() >= one.until:
                        del running[number]
                        yield one.case, one.end(late=number not in ended)
        finally:
            for one in running.values():
                one.end(late=True)

    def _prepare(self, case: Case, session: pytest.Session) -> None:
        place = {name: number for number, name in enumerate(self.order)}
        session.items.sort(key=lambda item: place.get(item.name, len(place)))
        try:
            session.config.stash[SESSION].harness = case.prepare(self._folder)
        except BaseException as error:  # noqa: BLE001  # a store that can't even be made is caught, too
            self.failed = f"{type(error).__name__} before the first test"
            self._leave()

    @property
    def _folder(self) -> Path:
        assert self.forked is not None
        return self.forked.folder

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        if report.failed:
            self.failed = name
            self._leave()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self.forked is not None:
            self._leave()

    def _leave(self) -> None:
        """Report, and end the fork: nothing of the parent's that waits for the end of a process is done."""
        assert self.forked is not None
        written = self.forked.folder / "verdict.part"
        written.write_text(json.dumps([self.failed, self.seconds]))
        written.rename(self.forked.report)
        os._exit(0)


def _fork(case: Case, limit_seconds: float) -> _Running:
    folder = Path(tempfile.mkdtemp(prefix="kharvest-zoo-"))
    reading, writing = os.pipe()
    until = time.monotonic() + limit_seconds
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Running(case, pid, reading, folder, until)
    os.setsid()
    os.close(reading)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    tempfile.tempdir = str(folder)
    return _Running(case, 0, writing, folder, until)  # the pipe is closed when this process ends


def judge(
    correct: Case,
    cases: Iterable[Case],
    tell: Callable[[Case, Verdict], None],
    *,
    jobs: int = 1,
    examples: int = DEFAULT_EXAMPLES,
) -> None:
    """Run the suite on a store that is correct, then on each of the cases, and tell what came of it.

    Tests run in the order of the time that they took on the correct one, the quickest first. A store that takes many
    times as long counts as caught: a fault may be an endless loop.

    Raises:
        AssertionError: the correct store fails, so the suite says nothing of others.
    """
    timed: list[Verdict] = []
    _run(_Warm([correct], lambda _, verdict: timed.append(verdict), 1, _CORRECT_SECONDS), examples)
    (verdict,) = timed
    if verdict.caught_by:
        raise AssertionError(f"{correct.name} is correct, and caught by {verdict.caught_by}")
    limit = max(_LEAST_LIMIT_SECONDS, _LIMIT_FACTOR * sum(verdict.seconds.values()))
    own = sys.stdout

    def tell_aloud(case: Case, verdict: Verdict) -> None:
        with contextlib.redirect_stdout(own):
            tell(case, verdict)

    order = sorted(verdict.seconds, key=verdict.seconds.__getitem__)
    _run(_Warm(cases, tell_aloud, jobs, limit, order), examples)


def _run(warm: _Warm, examples: int) -> None:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        pytest.main([*_OPTIONS, f"--kharvest-examples={examples}"], plugins=[warm])
