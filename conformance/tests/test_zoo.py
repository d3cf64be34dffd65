"""The suite is tested: it catches every broken store by the test that is named for it, and passes the correct ones."""

from __future__ import annotations

import pytest

from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo.fault import CAUGHT_BY
from kharvest_zoo.kinds import CORRECT
from kharvest_zoo.odd import ODD
from kharvest_zoo.running import FAULTS_CAUGHT, Reports, run_zoo

BROKEN = {store.__name__: test for store, test in CAUGHT_BY.items()}


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Reports:
    found = run_zoo(tmp_path_factory.mktemp("zoo"), {kind: [test] for kind, test in BROKEN.items()})
    caught = sum(any(_name(one) == BROKEN[kind] for one in found[kind]["failed"]) for kind in BROKEN)
    pytestconfig.stash[FAULTS_CAUGHT] = (caught, len(BROKEN))
    return found


def _name(failure: dict[str, str]) -> str:
    return failure["test"].partition("[")[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
def test_each_broken_store_is_caught_by_the_test_that_is_named_for_it(kind: str, reports: Reports) -> None:
    assert {_name(failure) for failure in reports[kind]["failed"]} == {BROKEN[kind]}
    for failure in reports[kind]["failed"]:
        assert failure["clause"]
        assert "store" in failure["snippet"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CORRECT, *ODD])
def test_correct_stores_conform_however_odd_they_are(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    report = run_zoo(tmp_path_factory.mktemp(kind), {kind: []}, "--kharvest-examples=10")[kind]
    assert report["failed"] == []
    assert report["problems"] == []
    assert report["verdict"] == "conforms"


def test_there_are_enough_broken_stores() -> None:
    assert len(BROKEN) >= 30
    assert set(BROKEN.values()) <= SUITE_TESTS.keys()
