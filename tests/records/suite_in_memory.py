"""The suite, on the record layer over an engine in memory: a file for a run of pytest of its own."""

from __future__ import annotations

import pytest

from kharvest.records import MemoryEngine, RecordStore
from kharvest.spi import Store
from kharvest_conformance import Harness
from kharvest_conformance.suite import Suite
from kharvest_memory._contents import Contents


class RecordsInMemory(Contents, RecordStore):
    """References in the record layer, contents beside them."""

    def __init__(self) -> None:
        Contents.__init__(self)
        RecordStore.__init__(self, MemoryEngine(), self.present)


class RecordsHarness(Harness):
    """Stores in this process's memory."""

    def create(self) -> str:
        return ""

    def open(self, address: str) -> Store:
        assert not address
        return RecordsInMemory()

    def destroy(self, address: str) -> None:
        assert not address


class TestRecords(Suite):
    @pytest.fixture
    def harness(self) -> Harness:
        return RecordsHarness()
