"""Tests side by side: in processes that are forked when pytest has collected, each with a place of its own.

They take the numbers of tests from one pipe, in which all are before the first process starts. What they send back is
told in the order of the tests, so everything that a run says is the same however many there are.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Self, TypeGuard

import pytest

from kharvest.spi import KharvestError
from kharvest_conformance._clauses import Clause, clause_of, is_thorough
from kharvest_conformance._job import NUMBER_BYTES, Done, Job
from kharvest_conformance._report import Outcome, Result, StoreReport
from kharvest_conformance._session import SESSION, class_node
from kharvest_conformance.registered import RegisteredHarness

MOST_JOBS = 4
"""How many tests run side by side at most, unless somebody says how many."""
_END_SECONDS = 10.0
"""How long a process may take to empty its place when the run is broken off."""
_DEAR_SHARE = 0.8


def default_jobs() -> int:
    """As many as there are processors for this process, at most `MOST_JOBS`."""
    return min(len(os.sched_getaffinity(0)), MOST_JOBS)


@dataclass(slots=True)
class _Process:
    """A forked process. `running` is the number of the test that it runs."""

    pid: int
    results: Connection
    running: int | None = None


class Jobs:
    """Runs tests in several processes; a context manager that ends them and removes their places.

    One of them has the place that the user named, each other one a place beside it.
    """

    def __init__(self, session: pytest.Session, items: Sequence[pytest.Function], harness: RegisteredHarness) -> None:
        self._session = session
        self._items = items
        self._harness = harness
        self._numbers = -1
        self._processes: list[_Process] = []
        self._done: dict[int, Done] = {}
        self._told = 0
        self._places = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._end()
        finally:
            self._places.close()

    def prepare(self, jobs: int) -> list[RegisteredHarness]:
        """Make the places for so many processes.

        Raises:
            KharvestError: one cannot be made.
        """
        return [self._harness, *(self._new_place() for _job in range(jobs - 1))]

    def run(self, harnesses: Sequence[RegisteredHarness]) -> None:
        """Run all tests, and tell pytest and the report of them.

        Raises:
            Session.Failed, Session.Interrupted: pytest wants no more of them.
        """
        self._numbers, writing = os.pipe()
        with os.fdopen(writing, "wb") as numbers:
            for number in _in_order(self._items):
                numbers.write(number.to_bytes(NUMBER_BYTES))
        for harness in harnesses:
            self._fork(harness)
        while self._processes:
            ready = wait([process.results for process in self._processes])
            for process in [one for one in self._processes if one.results in ready]:
                self._receive(process)
            self._tell()

    def _new_place(self) -> RegisteredHarness:
        return self._places.enter_context(self._harness.beside(f"suite_{secrets.token_hex(4)}"))

    def _fork(self, harness: RegisteredHarness) -> None:
        receiving, sending = Pipe(duplex=False)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with warnings.catch_warnings():  # a store's driver may have threads; the child does not touch them
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            for connection in (receiving, *(one.results for one in self._processes)):
                connection.close()
            _be(Job(self._session, self._items, harness, self._numbers, sending))
        sending.close()
        self._processes.append(_Process(pid, receiving))

    def _receive(self, process: _Process) -> None:
        try:
            received = process.results.recv()
        except (EOFError, OSError):  # it has ended, in the midst of sending perhaps
            self._processes.remove(process)
            process.results.close()
            _pid, status = os.waitpid(process.pid, 0)
            if process.running is not None:
                self._done[process.running] = self._lost(process.running, os.waitstatus_to_exitcode(status))
                self._replace()
            return
        if isinstance(received, Done):
            process.running = None
            self._done[received.number] = received
        else:
            process.running = received

    def _replace(self) -> None:
        """Go on with another process, in a new place: what is in the old one, nobody knows."""
        try:
            harness = self._new_place()
        except KharvestError as error:
            say(self._session, f"no process replaces the one that has ended: {error}")
        else:
            self._fork(harness)

    def _tell(self) -> None:
        while self._told in self._done:
            item, done = self._items[self._told], self._done.pop(self._told)
            self._told += 1
            hook = item.ihook
            hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            self._merge(item, done)
            for warned in done.warnings:
                item.config.hook.pytest_warning_recorded.call_historic(kwargs=warned.arguments())
            for data in done.reports:
                report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
                hook.pytest_runtest_logreport(report=report)
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            if self._session.shouldfail:
                raise self._session.Failed(self._session.shouldfail)
            if self._session.shouldstop:
                raise self._session.Interrupted(self._session.shouldstop)

    def _merge(self, item: pytest.Function, done: Done) -> None:
        report = item.config.stash[SESSION].report
        report.events.merge(done.events)
        if done.store is None:
            return
        node = class_node(item)
        store = report.stores.setdefault(node, done.store)
        if store is not done.store:
            store.results |= done.store.results
            if not store.is_known:
                store.store, store.version, store.capabilities = done.store.about

    def _lost(self, number: int, code: int) -> Done:
        """What is told of a test whose process has ended."""
        item = self._items[number]
        clause = clause_of(item.function)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        detail = f"the process that ran the test was ended {how}"
        store = StoreReport.unknown()
        assert isinstance(clause, Clause)  # noqa: S101  # it is a test of the suite
        store.results[item.name] = Result(item.name, clause, Outcome.FAILED, detail)
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", detail, "call")
        data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
        return Done(number, [data], [], store)

    def _end(self) -> None:
        """End the processes: when they have emptied their places, or when they take too long for that."""
        for process in self._processes:
            os.kill(process.pid, signal.SIGTERM)
        for process in self._processes:
            handle = os.pidfd_open(process.pid)
            try:
                if not select.select([handle], [], [], _END_SECONDS)[0]:
                    os.kill(process.pid, signal.SIGKILL)
            except BaseException:
                os.kill(process.pid, signal.SIGKILL)
                raise
            finally:
                os.waitpid(process.pid, 0)
                os.close(handle)
        self._processes.clear()
        if self._numbers >= 0:
            os.close(self._numbers)
            self._numbers = -1


def say(session: pytest.Session, text: str) -> None:
    """Tell people something while tests run."""
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"kharvest conformance: {text}")


def _be(job: Job) -> None:
    """Be a forked process, and end it without a word to what it inherited."""
    try:
        job.run()
        os._exit(0)
    except BaseException:  # noqa: BLE001  # the outermost loop of this process
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _in_order(items: Sequence[pytest.Function]) -> list[int]:
    """In which order tests are begun: the dear ones early, so that none of them is left when all others are done.

    The others are spread between them, so that there is something to tell from the beginning.
    """
    dear = [number for number, item in enumerate(items) if "depth" in item.fixturenames or is_thorough(item.function)]
    rest = [number for number in range(len(items)) if number not in set(dear)]
    places = [(_DEAR_SHARE * place / len(dear), number) for place, number in enumerate(dear)]
    places += [(place / len(rest), number) for place, number in enumerate(rest)]
    return [number for _place, number in sorted(places)]


def run_side_by_side(session: pytest.Session, jobs: int) -> Generator[None, object, object]:
    """The loop of pytest, wrapped: tests that are not of the suite, or on other stores, run before and as always."""
    harness = session.config.stash[SESSION].harness
    own = [item for item in session.items if _is_on_the_named_store(item)]
    if not isinstance(harness, RegisteredHarness) or not own:
        return (yield)
    with Jobs(session, own, harness) as side_by_side:
        try:
            harnesses = side_by_side.prepare(min(jobs, len(own)))
        except KharvestError as error:
            say(session, f"one test at a time: {error}")
            return (yield)
        items = session.items
        session.items = [item for item in items if item not in set(own)]
        try:
            yield
        finally:
            session.items = items
        side_by_side.run(harnesses)
    return True


def _is_on_the_named_store(item: pytest.Item) -> TypeGuard[pytest.Function]:
    from kharvest_conformance.suite._base import Base  # noqa: PLC0415  # pytest must be told of the suite first

    return (
        isinstance(item, pytest.Function)
        and clause_of(item.function) is not None
        and item.cls is not None
        and inspect.getattr_static(item.cls, "harness") is vars(Base)["harness"]
    )
