"""Our own stores keep the contract: the suite runs against each, as a backend's author would run it.

Those whose parts are in other runs too have fewer random examples than usual.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.real import GIVEN, OWN, RealServers

# A run takes one or two minutes; this ends one that hangs, and not one on a machine that does other things too.
PATIENCE_SECONDS = 1200
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 60)


def conformance(store: str, *arguments: str) -> None:
    """Run the suite; every test that the store's capabilities ask for must have run and passed."""
    command = [sys.executable, "-m", "kharvest", "conformance", "env:STORE", *arguments, "--json", "--seed", "1"]
    environment = {**os.environ, "STORE": store}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=environment
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert json.loads(run.stdout)["verdict"] == "conforms"


def test_memory_conforms() -> None:
    conformance("memory:")


@pytest.mark.slow
def test_sqlite_conforms(sqlite_url: str) -> None:
    conformance(sqlite_url)


def test_a_file_system_that_promises_nothing_conforms(tmp_path: Path) -> None:
    conformance(f"fsspec+memory://{tmp_path.name}", "--examples", "5")


@pytest.mark.slow
def test_a_directory_conforms(tmp_path: Path) -> None:
    conformance(f"file://{tmp_path}/store")


@pytest.mark.slow
def test_azure_conforms(real_servers: RealServers) -> None:
    with real_servers.get("azure").place() as url:
        conformance(url, "--examples", "5")


@pytest.mark.slow
def test_references_and_contents_in_two_stores_conform(tmp_path: Path) -> None:
    references, contents = f"sqlite:///{tmp_path}/references.db", f"sqlite:///{tmp_path}/contents.db"
    conformance(references, "--contents", contents, "--examples", "5")


@pytest.mark.slow
def test_references_in_a_database_and_contents_in_a_bucket_conform(real_servers: RealServers) -> None:
    with real_servers.get("postgresql").place() as references, real_servers.get("s3").place() as contents:
        conformance(references, "--contents", contents)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_a_store_on_a_server_conforms(kind: str, real_servers: RealServers) -> None:
    with real_servers.get(kind).place() as url:
        conformance(url)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, server in GIVEN.items() if os.environ.get(server.variable)])
def test_a_store_on_a_user_s_own_server_conforms(kind: str, real_servers: RealServers) -> None:
    with real_servers.get(kind).place() as url:
        conformance(url)
