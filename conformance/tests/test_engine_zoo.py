"""The suite of engines finds what is wrong with an engine, and nothing in one that is right."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kharvest.records import Engine
from kharvest.spi import StoreFull
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance.engines import ENGINE_TESTS, EngineHarness, EngineSuite
from kharvest_conformance.engines._harness import Place
from kharvest_zoo.engines.faults import CAUGHT_BY, StaysOpen
from kharvest_zoo.engines.plain import PlainEngine


@dataclass(frozen=True)
class FileHarness(EngineHarness):
    """Engines of one class, each on a file in a new directory."""

    folder: str
    kind: type[PlainEngine] = PlainEngine

    def create(self) -> str:
        return str(Path(tempfile.mkdtemp(dir=self.folder)) / "rows")

    def open(self, address: str) -> Engine:
        return self.kind(address)

    def destroy(self, address: str) -> None:
        shutil.rmtree(Path(address).parent, ignore_errors=True)  # a thread of a test that failed may still write there


@pytest.mark.slow  # a commit of a million rows
class TestPlainEngine(EngineSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> EngineHarness:
        return FileHarness(str(tmp_path))


def arguments_of(test: Any) -> Iterator[dict[str, object]]:
    """The parameters with which pytest would call a test."""
    marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    for chosen in product(*(values for _names, values in marks)):
        found: dict[str, object] = {}
        for (names, _values), value in zip(marks, chosen, strict=True):
            found |= {names: value} if isinstance(names, str) else dict(zip(names, value, strict=True))
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("fault", CAUGHT_BY, ids=lambda fault: fault.__name__)
def test_each_fault_is_found_by_its_test(
    fault: type[PlainEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PATIENCE, "seconds", 2 if fault is StaysOpen else 60)
    test = ENGINE_TESTS[CAUGHT_BY[fault]]

    def run() -> None:
        for arguments in arguments_of(test):
            with Place(FileHarness(str(tmp_path), fault)) as place:
                test(EngineSuite(), place, **arguments)

    with pytest.raises((AssertionError, ValueError, KeyError, TypeError, StoreFull, pytest.fail.Exception)):
        run()


def test_each_test_of_the_suite_finds_a_fault() -> None:
    assert ENGINE_TESTS.keys() == set(CAUGHT_BY.values())


def test_a_test_of_the_suite_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match="test_an_empty_value_is_a_row"):
        type("Weaker", (EngineSuite,), {"test_an_empty_value_is_a_row": None})
