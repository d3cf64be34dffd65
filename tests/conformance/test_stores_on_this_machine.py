"""Our stores that need no server keep the contract: the suite runs against each.

Those whose parts are in other runs too have a fast run each time, and the whole suite in a thorough one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.conforming import PATIENCE_SECONDS, conformance, fast_conformance

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 60)


@pytest.mark.slow
def test_memory_conforms() -> None:
    conformance("memory:")


@pytest.mark.slow
def test_sqlite_conforms(sqlite_url: str) -> None:
    conformance(sqlite_url)


@pytest.mark.slow
def test_a_file_system_that_promises_nothing_passes_a_fast_run(tmp_path: Path) -> None:
    fast_conformance(f"fsspec+memory://{tmp_path.name}")


@pytest.mark.slow
@pytest.mark.thorough
def test_a_file_system_that_promises_nothing_conforms(tmp_path: Path) -> None:
    conformance(f"fsspec+memory://{tmp_path.name}", "--examples", "5")


@pytest.mark.slow
def test_a_directory_conforms(tmp_path: Path) -> None:
    conformance(f"file://{tmp_path}/store")


@pytest.mark.slow
def test_references_and_contents_in_two_stores_pass_a_fast_run(tmp_path: Path) -> None:
    references, contents = f"sqlite:///{tmp_path}/references.db", f"sqlite:///{tmp_path}/contents.db"
    fast_conformance(references, "--contents", contents)


@pytest.mark.slow
@pytest.mark.thorough
def test_references_and_contents_in_two_stores_conform(tmp_path: Path) -> None:
    references, contents = f"sqlite:///{tmp_path}/references.db", f"sqlite:///{tmp_path}/contents.db"
    conformance(references, "--contents", contents, "--examples", "5")
