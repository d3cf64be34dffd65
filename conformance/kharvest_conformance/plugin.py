"""The pytest plug-in: options, deviations, a guard against tests that go missing, and the report.

It is loaded in every run of pytest where the suite is installed, so it imports neither the tests nor Hypothesis.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kharvest.spi import KharvestError
from kharvest_conformance import __version__
from kharvest_conformance._clauses import Clause, clause_broken_by, clause_of, is_thorough
from kharvest_conformance._deviations import read_deviations
from kharvest_conformance._patience import DEFAULT_PATIENCE_SECONDS, PATIENCE, check_patience
from kharvest_conformance._report import Outcome, Report, Result, StoreReport, bounded_detail
from kharvest_conformance._session import (
    DEFAULT_EXAMPLES,
    DEFAULT_SEED,
    FAILED,
    FAST_EXAMPLES,
    PLACES,
    SESSION,
    SKIPPED_BY_SUITE,
    Session,
    class_node,
    parse_seed,
)
from kharvest_conformance.outputs import Outputs
from kharvest_conformance.registered import registered

SUITE_VERSION = (int(__version__.split(".")[0]), int(__version__.split(".")[1]))
_SNIPPET = "what was done: run this to see it again"
_FAILURE = pytest.StashKey[tuple[pytest.TestReport, StoreReport]]()
_DEVIATION = pytest.StashKey[str]()
_DESELECTED = pytest.StashKey[dict[str, set[str]]]()
_REPLACED = pytest.StashKey[list[str]]()
_EXPECTED = pytest.StashKey[dict[str, set[str]]]()
_OUTPUTS = pytest.StashKey[Outputs]()
_SECONDS = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kharvest", "kharvest store conformance")
    group.addoption("--kharvest-store", metavar="URL", help="an empty store; env:NAME reads the URL from a variable")
    group.addoption("--kharvest-contents", metavar="URL", help="where its contents are, if elsewhere")
    group.addoption("--kharvest-destroy-data", action="store_true", help="first delete everything that the store holds")
    group.addoption("--kharvest-examples", metavar="N", type=int, help="random examples for each random test (30)")
    group.addoption(
        "--kharvest-seed", metavar="N", default=str(DEFAULT_SEED), help="seed of the random tests; `random` chooses one"
    )
    group.addoption(
        "--kharvest-patience",
        metavar="SECONDS",
        type=float,
        default=DEFAULT_PATIENCE_SECONDS,
        help="after how long a call counts as blocked (60)",
    )
    group.addoption(
        "--kharvest-fast", action="store_true", help="leave out slow tests, for work on a store; gives no verdict"
    )
    group.addoption(
        "--kharvest-deviations", metavar="FILE", type=Path, help="known deviations, each with its reason (TOML)"
    )
    group.addoption(
        "--kharvest-statistics", action="store_true", help="print which events occurred in random sequences"
    )
    group.addoption(
        "--kharvest-jobs", metavar="N", type=int, default=1, help="how many tests run side by side on the store (1)"
    )
    group.addoption("--kharvest-json", metavar="FILE", type=Path, help="write the report to FILE, as JSON")
    group.addoption("--kharvest-junit", metavar="FILE", type=Path, help="write the report to FILE, as JUnit XML")
    group.addoption("--kharvest-badge", metavar="FILE", type=Path, help="write the JSON of a badge to FILE")


def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    examples = options.kharvest_examples
    if examples is None:
        examples = FAST_EXAMPLES if options.kharvest_fast else DEFAULT_EXAMPLES
    if examples < 1:
        raise pytest.UsageError("--kharvest-examples must be at least 1")
    if options.kharvest_jobs < 1:
        raise pytest.UsageError("--kharvest-jobs must be at least 1")
    harness = None
    try:
        if options.kharvest_store:
            harness = registered(options.kharvest_store, options.kharvest_contents)
        PATIENCE.seconds = check_patience(options.kharvest_patience)
        report = Report(examples, parse_seed(options.kharvest_seed), options.kharvest_fast)
    except KharvestError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_OUTPUTS] = Outputs(options.kharvest_json, options.kharvest_junit, options.kharvest_badge)
    config.stash[SESSION] = Session(harness, options.kharvest_deviations, report)
    config.stash[_EXPECTED] = {}
    config.stash[_DESELECTED] = {}
    config.stash[_REPLACED] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look at the store before any test touches it: what is wrong with it is said once."""
    harness = session.config.stash[SESSION].harness
    if session.config.option.collectonly:
        return
    try:
        session.config.stash[_OUTPUTS].prepare()
        if harness is None:
            return
        if session.config.option.kharvest_destroy_data:
            harness.destroy(harness.name)
        harness.create()
    except KharvestError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which tests must run, before anybody takes one out, and mark the known deviations."""
    by_class: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and clause_of(item.function) is not None:
            by_class.setdefault(class_node(item), []).append(item)
    if by_class and hasattr(config, "workerinput"):
        raise pytest.UsageError("give -n 0 to pytest-xdist: the conformance suite has --kharvest-jobs")
    for node, members in by_class.items():
        tests = _suite_tests()
        config.stash[_EXPECTED][node] = set(tests)
        for name in tests:
            if inspect.getattr_static(members[0].cls, name, None) is not tests[name]:
                config.stash[_REPLACED].append(f"{name} of {node} is not the suite's: somebody replaced it")
        if any("::" in argument for argument in config.args):  # the command line names single tests
            config.stash[_DESELECTED][node] = set(tests) - {_test_name(item) for item in members}
        deviations = _deviations(config, members[0].cls)
        for item in members:
            _mark(item, deviations)
        _put_in_order(members, items)
    if config.option.kharvest_fast:
        _leave_out([item for members in by_class.values() for item in _thorough_of(members)], items)


def _put_in_order(members: list[pytest.Function], items: list[pytest.Item]) -> None:
    """Run the suite's tests in its order, which begins with the methods that the others need.

    pytest itself begins with the tests of the last base class: there with several handles and processes.
    """
    order = {name: number for number, name in enumerate(_suite_tests())}
    chosen = set(members)
    ordered = iter(sorted(members, key=lambda item: order.get(_test_name(item), len(order))))
    items[:] = [next(ordered) if item in chosen else item for item in items]


def _thorough_of(members: list[pytest.Function]) -> Iterator[pytest.Function]:
    """What a fast run leaves out: tests that are marked, and of a test with several cases all but the first."""
    kept: set[str] = set()
    for item in members:
        if is_thorough(item.function) or _test_name(item) in kept:
            yield item
        kept.add(_test_name(item))


def _leave_out(left_out: list[pytest.Function], items: list[pytest.Item]) -> None:
    """Take tests out of a run, and tell everybody of it."""
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        left_out[0].config.hook.pytest_deselected(items=left_out)


def _suite_tests() -> Mapping[str, object]:
    from kharvest_conformance.suite._whole import SUITE_TESTS  # noqa: PLC0415  # only where its tests are run

    return SUITE_TESTS


def _test_name(item: pytest.Item) -> str:
    return item.name.partition("[")[0]


def _deviations(config: pytest.Config, cls: type | None) -> dict[str, str]:
    path = getattr(cls, "deviations", None) or config.stash[SESSION].deviations
    if path is None:
        return {}
    try:
        return read_deviations(path, _suite_tests().keys())
    except KharvestError as error:
        raise pytest.UsageError(str(error)) from error


def _mark(item: pytest.Function, deviations: dict[str, str]) -> None:
    reason = deviations.get(item.name) or deviations.get(_test_name(item))
    clause = clause_of(item.function)
    if reason is not None:
        item.stash[_DEVIATION] = reason
        item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    elif clause is not None and clause.is_new(SUITE_VERSION):
        reason = "a new test: it is a failure from the next minor version on"
        item.add_marker(pytest.mark.xfail(strict=False, reason=reason))


@pytest.hookimpl(wrapper=True, trylast=True)  # within what shows the progress
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Run the suite's tests on the store that the command line names side by side, where they can be."""
    wanted = session.config.option.kharvest_jobs
    if wanted == 1 or session.config.option.collectonly or session.config.option.usepdb:
        return (yield)
    from kharvest_conformance._jobs import run_side_by_side  # noqa: PLC0415  # only where tests run so

    return (yield from run_side_by_side(session, wanted))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if _clause(item) is not None:
            item.config.stash[_DESELECTED].setdefault(class_node(item), set()).add(item.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    clause = _clause(item)
    if clause is None:
        return report
    item.stash[_SECONDS] = item.stash.get(_SECONDS, 0.0) + report.duration
    result = _result(item, clause, report, call)
    store = item.config.stash[SESSION].report.stores.get(class_node(item))
    if result is not None:
        if store is None:  # it could not even be opened
            store = StoreReport.unknown()
            item.config.stash[SESSION].report.stores[class_node(item)] = store
        store.results[item.name] = result
        if result.outcome is Outcome.FAILED:
            broken = f"{result.clause.place}: {result.clause.words!r}"
            report.sections.append(("the clause that is broken", broken))
            report.sections.append((_SNIPPET, result.snippet))
            item.stash[_FAILURE] = (report, store)
    if store is not None and item.name in store.results:
        store.results[item.name] = replace(store.results[item.name], seconds=item.stash[_SECONDS])
    if report.when == "teardown" and _FAILURE in item.stash:
        _show_shorter(item, *item.stash[_FAILURE])
    return report


def _show_shorter(item: pytest.Item, report: pytest.TestReport, store: StoreReport) -> None:
    """Show the program that was made shorter since the failure was reported."""
    snippet = item.stash[PLACES].snippet() if PLACES in item.stash else ""
    report.sections[:] = [(title, snippet if title == _SNIPPET else text) for title, text in report.sections]
    store.results[item.name] = replace(store.results[item.name], snippet=snippet)


def _not_run_or_expected(item: pytest.Item, clause: Clause, report: pytest.TestReport) -> Result:
    if hasattr(report, "wasxfail"):
        if _DEVIATION in item.stash:
            return Result(item.name, clause, Outcome.DEVIATES, item.stash[_DEVIATION])
        if clause.is_new(SUITE_VERSION):
            return Result(item.name, clause, Outcome.WARNED, report.wasxfail)
        return Result(item.name, clause, Outcome.FAILED, "a mark hides that it fails: name it in the deviations file")
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not item.stash.get(SKIPPED_BY_SUITE, False):
        return Result(item.name, clause, Outcome.FAILED, f"it was skipped, and not by the suite ({reason})")
    if _DEVIATION in item.stash:
        return Result(item.name, clause, Outcome.FAILED, f"a deviation is declared, but it does not apply: {reason}")
    return Result(item.name, clause, Outcome.SKIPPED, reason)


def _result(item: pytest.Item, clause: Clause, report: pytest.TestReport, call: pytest.CallInfo[None]) -> Result | None:
    """What this phase of a test says of it; None if nothing new."""
    if report.passed:
        return Result(item.name, clause, Outcome.PASSED) if report.when == "call" else None
    if report.skipped:
        return _not_run_or_expected(item, clause, report)
    if call.excinfo is not None:
        clause = clause_broken_by(call.excinfo.value) or clause
    places = item.stash.get(PLACES, None)
    item.stash[FAILED] = True
    snippet = places.snippet() if places is not None else ""
    if call.excinfo is not None:
        detail = f"{call.excinfo.typename}: {call.excinfo.value}"
    elif _DEVIATION in item.stash:
        detail = f"the deviation has gone: take it out of the file ({item.stash[_DEVIATION]})"
    else:
        detail = str(report.longrepr)
    return Result(item.name, clause, Outcome.FAILED, bounded_detail(detail), snippet)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Add what went missing to the report, and fail the run if the report does."""
    config = session.config
    state = config.stash.get(SESSION, None)
    if (
        state is None
        or config.option.collectonly
        or exitstatus not in _ENDED
        or session.shouldfail
        or session.shouldstop
    ):
        return
    report = state.report
    replaced: list[str] = config.stash[_REPLACED]
    report.problems.extend(replaced)
    if state.harness is not None and not report.stores:
        report.problems.append("no test of the suite has run, although a store was named to be tested")
    for node, expected in config.stash[_EXPECTED].items():
        deselected = config.stash[_DESELECTED].get(node, set())
        store = report.stores.get(node)
        if store is None:
            if {name.partition("[")[0] for name in deselected} >= expected:
                continue  # all of it was left out: nothing was asked about this store
            store = report.stores[node] = StoreReport(node, "", frozenset())
        store.deselected |= deselected
        done = {name.partition("[")[0] for name in {*store.results, *deselected}}
        store.problems += [f"{name} has gone missing: it was not run" for name in sorted(expected - done)]
    config.stash[_OUTPUTS].write(report)
    if (report.stores or report.problems) and report.verdict == "fails":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes that wait for another store."""
    state = config.stash.get(SESSION, None)
    if state is not None:
        state.processes.end()


_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    state = config.stash.get(SESSION, None)
    if state is not None and state.shows_report and (state.report.stores or state.report.problems):
        terminalreporter.section("kharvest conformance")
        for line in state.report.lines(statistics=config.option.kharvest_statistics):
            terminalreporter.line(line)


def _clause(item: pytest.Item) -> Clause | None:
    return clause_of(item.function) if isinstance(item, pytest.Function) else None
