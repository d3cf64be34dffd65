"""The suite of engines, on the engine in memory."""

from __future__ import annotations

import pytest

from kharvest.records import Engine, MemoryEngine
from kharvest_conformance.engines import EngineHarness, EngineSuite


class MemoryEngineHarness(EngineHarness):
    """Engines in this process's memory."""

    def create(self) -> str:
        return ""

    def open(self, address: str) -> Engine:
        assert not address
        return MemoryEngine()

    def destroy(self, address: str) -> None:
        assert not address


@pytest.mark.slow  # a commit of a million rows
class TestMemoryEngine(EngineSuite):
    @pytest.fixture
    def harness(self) -> EngineHarness:
        return MemoryEngineHarness()
