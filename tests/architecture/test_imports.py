"""What is imported, and what is not: a sidecar pays for every import, thousands of times over."""

from __future__ import annotations

import subprocess
import sys

import pytest

STORES = (
    "kharvest.registry",
    "kharvest.server",
    "kharvest_memory",
    "kharvest_mongo",
    "kharvest_sql",
    "kharvest_fsspec",
    "kharvest_conformance",
)
LIBRARIES = ("sqlalchemy", "pymongo", "fsspec", "hypothesis", "pytest", "prometheus_client", "structlog")


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split("\n"))


def under(modules: set[str], roots: tuple[str, ...]) -> set[str]:
    return {module for module in modules if any(module == root or module.startswith(f"{root}.") for root in roots)}


def test_the_spi_loads_no_grpc_no_backend_and_no_test_kit() -> None:
    loaded = loaded_by("import kharvest.spi")
    assert "kharvest.spi" in loaded
    assert (
        under(loaded, (*STORES, *LIBRARIES, "grpc", "google", "watchdog", "kharvest.wire", "kharvest.client")) == set()
    )


@pytest.mark.parametrize("statement", ["import kharvest.client", "import kharvest.cli.main, kharvest.cli.client"])
def test_the_client_loads_no_server_no_store_and_no_database(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "kharvest.client" in loaded
    assert under(loaded, (*STORES, *LIBRARIES, "kharvest.spi", "kharvest.query", "pluggy", "yaml")) == set()


@pytest.mark.parametrize("backend", ["kharvest_memory", "kharvest_mongo", "kharvest_sql", "kharvest_fsspec"])
def test_a_backend_is_listed_without_its_driver(backend: str) -> None:
    loaded = loaded_by(f"import {backend}.plugin")
    assert f"{backend}.plugin" in loaded
    assert under(loaded, ("sqlalchemy", "sqlite3", "psycopg", "pymysql", "pymongo", "bson", "fsspec", "grpc")) == set()
