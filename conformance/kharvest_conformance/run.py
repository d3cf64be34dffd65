"""Runs the whole suite on one store, away from whatever pytest is configured to do where it is called."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kharvest.spi import InvalidValue, KharvestError
from kharvest_conformance._deviations import read_deviations
from kharvest_conformance._jobs import default_jobs
from kharvest_conformance._patience import DEFAULT_PATIENCE_SECONDS, check_patience
from kharvest_conformance._report import Report
from kharvest_conformance._session import DEFAULT_EXAMPLES, SESSION, parse_seed
from kharvest_conformance.registered import registered

HANG_SECONDS = 300
"""After as long in one test, at the usual depth, the stacks of all threads are shown."""

_FAILING_WARNINGS = (
    "unclosed:ResourceWarning",
    "::pytest.PytestUnhandledThreadExceptionWarning",
    "::pytest.PytestUnraisableExceptionWarning",
)
"""What fails a test. Other warnings are shown: the libraries that a store stands on may warn of what they like."""


class RunFailed(KharvestError):
    """The suite could not be run to a report."""


@dataclass(slots=True)
class _Collector:
    """A plug-in that keeps the report of the run, which the caller prints."""

    report: Report | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        state = session.config.stash[SESSION]
        state.shows_report = False
        self.report = state.report

    def pytest_collection_finish(self) -> None:
        """Have no collection of garbage look through all that was loaded, with each test's."""
        gc.freeze()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Collect garbage once for all: pytest does so again and again before it ends, to hear of what is deleted."""
        gc.collect()
        gc.freeze()


def run_suite(
    url: str,
    *,
    contents_url: str | None = None,
    destroy_data: bool = False,
    fast: bool = False,
    examples: int | None = None,
    seed: str | None = None,
    patience_seconds: float | None = None,
    deviations: Path | None = None,
    jobs: int | None = None,
) -> Report:
    """Run every test on the store at `url`, or the fast ones; what pytest says of its progress goes to standard error.

    `jobs` tests run side by side, each on a place of its own. Unless it is given, it is the number of processors that
    this process may use, at most `MOST_JOBS`, or 1 if the store's backend makes no places beside a store's.

    Raises:
        StoreNotEmpty: it holds data, and `destroy_data` was not asked for.
        InvalidValue: an argument cannot be used.
        KharvestError: the store cannot be opened, or the run broke off.
    """
    from kharvest_conformance.suite._whole import SUITE_TESTS  # noqa: PLC0415  # pytest must be told of it first

    if examples is not None and examples < 1:
        raise InvalidValue("examples", f"{examples} are too few", "give at least 1")
    if jobs is not None and jobs < 1:
        raise InvalidValue("jobs", f"{jobs} are too few", "give at least 1")
    if seed is not None:
        parse_seed(seed)
    if patience_seconds is not None:
        check_patience(patience_seconds)
    if deviations is not None:
        read_deviations(deviations, SUITE_TESTS.keys())
    harness = registered(url, contents_url)
    if destroy_data:
        harness.destroy(harness.name)
    harness.create()

    if jobs is None:
        jobs = default_jobs() if harness.has_places_beside() else 1

    options = {
        "--kharvest-store": url,
        "--kharvest-contents": contents_url,
        "--kharvest-examples": examples,
        "--kharvest-seed": seed,
        "--kharvest-patience": patience_seconds,
        "--kharvest-deviations": deviations,
        "--kharvest-jobs": jobs,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    if fast:
        given.append("--kharvest-fast")
    isolated = ["-c", os.devnull, "--rootdir", str(Path(__file__).parent), "-p", "no:cacheprovider", "--noconftest"]
    isolated += ["--disable-plugin-autoload", "-p", "kharvest_conformance.plugin"]
    isolated += [option for what in _FAILING_WARNINGS for option in ("-W", f"error:{what}")]
    # Showing the stacks of running threads can crash the process: a deep test that takes long must not get there.
    hang_seconds = HANG_SECONDS * max(1, (examples or DEFAULT_EXAMPLES) // DEFAULT_EXAMPLES)
    hang_seconds = max(hang_seconds, round(5 * (patience_seconds or DEFAULT_PATIENCE_SECONDS)))
    isolated += ["-o", f"faulthandler_timeout={hang_seconds}", "-q", "-rN", "--no-header"]
    collector = _Collector()
    inherited = os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            status = pytest.main([*isolated, "--pyargs", "kharvest_conformance", *given], plugins=[collector])
    finally:
        if inherited is not None:
            os.environ["PYTEST_ADDOPTS"] = inherited
    if collector.report is None or status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RunFailed(f"pytest ended with {status!r}; see what it wrote above")
    return collector.report
