"""Places for stores: a directory, and a bucket on each object store that runs here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.real import RealServers
from harness.real.fixtures import real_servers

__all__ = ["real_servers"]


@pytest.fixture(params=["file", "s3", "azure", "gcs"])
def url(request: pytest.FixtureRequest, tmp_path: Path, real_servers: RealServers) -> Iterator[str]:
    """A place for one store that several processes may use, empty."""
    if request.param == "file":
        yield f"file://{tmp_path}/store"
    else:
        with real_servers.get(request.param).place() as place:
            yield place


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A place for one store on disk, empty."""
    directory = tmp_path / "store"
    directory.mkdir()
    return directory
