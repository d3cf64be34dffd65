"""Our store on MariaDB keeps the contract."""

from __future__ import annotations

import pytest
from harness.conforming import PATIENCE_SECONDS, conformance
from harness.real import RealServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]


def test_a_store_on_mariadb_conforms(real_servers: RealServers) -> None:
    with real_servers.get("mariadb").place() as url:
        conformance(url)
