"""Fixtures that all tests of the core share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ServerThread
from harness.real.fixtures import real_servers

__all__ = ["real_servers"]


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh store, of each kind that needs no server."""
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a fresh store on disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def server(store_url: str) -> Iterator[ServerThread]:
    """A server on a fresh store, with the settings that users get."""
    with ServerThread(store_url) as running:
        yield running
