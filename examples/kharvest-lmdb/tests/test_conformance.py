"""The suite, in the three lines that an author writes, on directories that a harness makes and removes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from kharvest.spi import Store
from kharvest_conformance import Harness
from kharvest_conformance.suite import Suite
from kharvest_lmdb.store import LmdbStore


@dataclass(frozen=True)
class LmdbHarness(Harness):
    """Stores in new directories below one."""

    folder: str

    def create(self) -> str:
        return tempfile.mkdtemp(dir=self.folder)

    def open(self, address: str) -> Store:
        return LmdbStore(address)

    def destroy(self, address: str) -> None:
        shutil.rmtree(address)


class TestLmdb(Suite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return LmdbHarness(str(tmp_path))
