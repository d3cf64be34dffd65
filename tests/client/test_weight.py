"""A sidecar pays for every import: the client loads what it needs, and says what a server would."""

from __future__ import annotations

import subprocess
import sys

from kharvest.client._config import kinds
from kharvest.spi import _values as values

FOREIGN = {
    *("kharvest.spi", "kharvest.registry", "kharvest.server", "kharvest.query", "kharvest_memory", "kharvest_sql"),
    *("pluggy", "sqlalchemy", "yaml", "structlog", "prometheus_client", "http.server"),
}


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_client_loads_no_server_store_or_database_code() -> None:
    loaded = loaded_by("import kharvest.client, kharvest.client._watch.inotify")
    assert {"kharvest.client", "grpc", "watchdog.observers.inotify_c"} <= loaded
    assert loaded & FOREIGN == set()


def test_the_client_s_command_line_loads_no_more() -> None:
    loaded = loaded_by(
        "import argparse, kharvest.cli.main, kharvest.cli.client as c\nc.configure(argparse.ArgumentParser())"
    )
    assert loaded & FOREIGN == set()


def test_a_client_that_does_not_watch_loads_no_watchdog() -> None:
    assert not any(name.startswith("watchdog") for name in loaded_by("import kharvest.client"))


def test_the_limits_are_those_of_the_contract() -> None:
    names = [name for name in vars(kinds) if name.startswith("MAX_")]
    assert names
    assert {name: getattr(kinds, name) for name in names} == {name: getattr(values, name) for name in names}
