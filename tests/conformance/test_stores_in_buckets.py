"""Our stores in object storage keep the contract: a fast run of the suite on each, since their servers take long."""

from __future__ import annotations

import pytest
from harness.conforming import PATIENCE_SECONDS, fast_conformance
from harness.real import RealServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]

PATIENCE = ("--patience", "300")


@pytest.mark.parametrize("kind", ["s3", "azure", "gcs"])
def test_a_store_in_a_bucket_conforms(kind: str, real_servers: RealServers) -> None:
    with real_servers.get(kind).place() as url:
        fast_conformance(url, *PATIENCE)


def test_references_in_a_database_and_contents_in_a_bucket_conform(real_servers: RealServers) -> None:
    with real_servers.get("postgresql").place() as references, real_servers.get("s3").place() as contents:
        fast_conformance(references, "--contents", contents, *PATIENCE)
