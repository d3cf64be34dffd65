"""The suite of engines, on directories that a harness makes and removes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from kharvest.records import Engine
from kharvest_conformance.engines import EngineHarness, EngineSuite
from kharvest_lmdb.engine import LmdbEngine


@dataclass(frozen=True)
class LmdbEngineHarness(EngineHarness):
    """Engines in new directories below one."""

    folder: str

    def create(self) -> str:
        return tempfile.mkdtemp(dir=self.folder)

    def open(self, address: str) -> Engine:
        return LmdbEngine(address)

    def destroy(self, address: str) -> None:
        shutil.rmtree(address)


class TestLmdbEngine(EngineSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> EngineHarness:
        return LmdbEngineHarness(str(tmp_path))
