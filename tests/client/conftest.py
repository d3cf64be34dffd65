"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import ServerThread


@pytest.fixture(scope="module")
def harvest_server() -> Iterator[ServerThread]:
    """A server for all tests of a module; each test is a pod of its own."""
    with ServerThread("memory:") as running:
        yield running


@pytest.fixture
def pod_name(request: pytest.FixtureRequest) -> str:
    """A pod of this test's own."""
    return str(request.node.name).replace("[", ".").replace("]", "").replace("_", "-")[-200:]
