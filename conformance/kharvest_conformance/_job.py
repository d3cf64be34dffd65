"""One of several processes that run tests side by side: the child's part of `_jobs`."""

from __future__ import annotations

import os
import pickle
import signal
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

import pytest

from kharvest_conformance._events import Events
from kharvest_conformance._report import Outcome, StoreReport
from kharvest_conformance._session import SESSION, class_node

if TYPE_CHECKING:
    from kharvest_conformance.registered import RegisteredHarness

NUMBER_BYTES: Final = 4
"""How a test's number is written. A pipe gives so few bytes to one reader or to none."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, as pytest's hook is told of it."""

    message: str
    category: type[Warning]
    filename: str
    lineno: int
    when: str
    nodeid: str
    location: tuple[str, int, str] | None

    def arguments(self) -> dict[str, object]:
        """Those of `pytest_warning_recorded`."""
        message = warnings.WarningMessage(self.category(self.message), self.category, self.filename, self.lineno)
        return {"warning_message": message, "when": self.when, "nodeid": self.nodeid, "location": self.location}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one test.

    Attributes:
        reports: pytest's reports, in the form in which plug-ins send them.
        store: the report of its store, with this test's result only.
    """

    number: int
    reports: Sequence[Mapping[str, Any]]
    warnings: Sequence[Warned]
    store: StoreReport | None
    events: Events = field(default_factory=Events)


class Job:
    """Runs tests until none is left. It is a plug-in of its process: pytest tells it how they go."""

    def __init__(
        self,
        session: pytest.Session,
        items: Sequence[pytest.Function],
        harness: RegisteredHarness,
        numbers: int,
        results: Connection,
    ) -> None:
        self._session = session
        self._items = items
        self._harness = harness
        self._numbers = numbers
        self._results = results
        self._reports: list[pytest.TestReport] = []
        self._warnings: list[Warned] = []

    def run(self) -> None:
        """Run what the pipe gives, one after the other."""
        self._settle_in()
        state = self._session.config.stash[SESSION]
        state.harness = self._harness
        try:
            while read := os.read(self._numbers, NUMBER_BYTES):
                number = int.from_bytes(read)
                self._results.send(number)
                self._results.send(self._done(number))
        except (KeyboardInterrupt, BrokenPipeError):  # the run is broken off, or has ended
            pass
        finally:
            self._session._setupstate.teardown_exact(None)  # noqa: SLF001  # empties the place of a test that was broken off
            state.processes.end()

    def _settle_in(self) -> None:
        """Let go of what is the parent's: its terminal, the files that it captures output in, and its signals."""
        plugins = self._session.config.pluginmanager
        plugins.unregister(name="terminalreporter")
        capture = plugins.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()
            capture.start_global_capturing()
            capture.suspend_global_capture()
        plugins.register(self)
        # Ctrl-C goes to all processes: the parent ends the others when it has got it.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, _break_off)

    def _done(self, number: int) -> Done:
        item = self._items[number]
        report = item.config.stash[SESSION].report
        report.events = Events()
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        store = report.stores.get(class_node(item))
        if store is not None:
            result = store.results.get(item.name)
            results = {item.name: result} if result is not None else {}
            if result is not None and result.outcome is Outcome.FAILED:
                results = {item.name: result.renamed(self._harness.as_named)}
            store = StoreReport(*store.about, results)
        hook = item.config.hook
        reports = [hook.pytest_report_to_serializable(config=item.config, report=one) for one in self._reports]
        if any(one.failed for one in self._reports):
            reports = [_renamed(one, self._harness.as_named) for one in reports]
        done = Done(number, reports, [*self._warnings], store, report.events)
        self._reports.clear()
        self._warnings.clear()
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it until the test has ended: what it says of a failure may be made shorter until then."""
        self._reports.append(report)

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Keep it for the parent, which shows it."""
        category: type[Warning] = warning_message.category
        try:
            pickle.dumps(category(str(warning_message.message)))
        except Exception:  # noqa: BLE001  # a class of somebody else's
            category = UserWarning
        text, place = str(warning_message.message), (warning_message.filename, warning_message.lineno)
        self._warnings.append(Warned(text, category, *place, when, nodeid, location))


def _break_off(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is being emptied is emptied to its end
    raise KeyboardInterrupt


def _renamed(value: Any, rename: Any) -> Any:
    """The data of a report, with each text in it renamed."""
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, dict):
        return {key: _renamed(one, rename) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_renamed(one, rename) for one in value)
    return value
