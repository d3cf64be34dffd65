"""Says at the end of a run how many broken stores the suite has caught."""

from __future__ import annotations

import pytest

from kharvest_zoo.running import FAULTS_CAUGHT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(FAULTS_CAUGHT, None)
    if found is not None:
        terminalreporter.section("zoo")
        terminalreporter.line(f"the conformance suite caught {found[0]} of {found[1]} broken stores")
