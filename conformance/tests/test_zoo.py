"""The suite is tested: it catches every broken store by the test that is named for it."""

from __future__ import annotations

import pytest

from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo.fault import CAUGHT_BY
from kharvest_zoo.faults import FAULTS
from kharvest_zoo.running import BLOCKED_SECONDS, PATIENCE_SECONDS, Reports, run_zoo_at_once

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 60)

BROKEN = {store.__name__: CAUGHT_BY[store] for store in FAULTS}
PARTS = 4
"""Into how many runs the stores are divided. More than there are processors: some stores block, and are waited for."""


RUNS = 3
MEETING = frozenset(
    {"content_lists", "content_races", "deadlocks", "deaths", "meetings", "moments", "races", "stale", "torn"}
)
"""The modules with faults that show only when threads or processes meet in a moment: in one run of RUNS, that is, since
this machine runs several others beside it. All other faults show in each run."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    patience = f"--kharvest-patience={BLOCKED_SECONDS}"
    found: Reports = {}
    for _run in range(RUNS):
        missed = [store.__name__ for store in FAULTS if not found or _may_be_missed(store, found)]
        if missed:
            tests = {kind: [BROKEN[kind]] for kind in missed}
            found |= run_zoo_at_once(tmp_path_factory.mktemp("zoo"), tests, min(PARTS, len(missed)), patience)
    return found


def _may_be_missed(store: type, found: Reports) -> bool:
    return store.__module__.rpartition(".")[2] in MEETING and not found[store.__name__]["failed"]


def _name(failure: dict[str, str]) -> str:
    return failure["test"].partition("[")[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
def test_each_broken_store_is_caught_by_the_test_that_is_named_for_it(kind: str, reports: Reports) -> None:
    assert {_name(failure) for failure in reports[kind]["failed"]} == {BROKEN[kind]}
    for failure in reports[kind]["failed"]:
        assert failure["clause"]
        assert "store" in failure["snippet"]


def test_there_are_enough_broken_stores() -> None:
    assert len(BROKEN) >= 450
    assert set(BROKEN.values()) <= SUITE_TESTS.keys()
