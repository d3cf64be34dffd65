"""Our store on MariaDB keeps the contract: a fast run each time, and the whole suite in a thorough one."""

from __future__ import annotations

import pytest
from harness.conforming import PATIENCE_SECONDS, conformance, fast_conformance
from harness.real import RealServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]


def test_a_store_on_mariadb_passes_a_fast_run(real_servers: RealServers) -> None:
    with real_servers.get("mariadb").place() as url:
        fast_conformance(url)


@pytest.mark.thorough
def test_a_store_on_mariadb_conforms(real_servers: RealServers) -> None:
    with real_servers.get("mariadb").place() as url:
        conformance(url)
