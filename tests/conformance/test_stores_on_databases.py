"""Our stores on database servers keep the contract: the suite runs against each.

MongoDB's server in tests is slow: there it is a fast run, with more time for each call. MariaDB has a file of its own,
which another worker of pytest takes meanwhile.
"""

from __future__ import annotations

import os

import pytest
from harness.conforming import PATIENCE_SECONDS, conformance, fast_conformance
from harness.real import GIVEN, OWN, RealServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind not in ("s3", "mongodb", "mariadb")])
def test_a_store_on_a_database_conforms(kind: str, real_servers: RealServers) -> None:
    with real_servers.get(kind).place() as url:
        conformance(url)


def test_a_store_on_mongodb_passes_a_fast_run(real_servers: RealServers) -> None:
    with real_servers.get("mongodb").place() as url:
        fast_conformance(url, "--patience", "300")


@pytest.mark.parametrize("kind", [kind for kind, server in GIVEN.items() if os.environ.get(server.variable)])
def test_a_store_on_a_user_s_own_server_conforms(kind: str, real_servers: RealServers) -> None:
    with real_servers.get(kind).place() as url:
        conformance(url)
