"""What holds for the tests of all packages."""

from __future__ import annotations

import signal

import pytest

for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    # A shell's background jobs ignore some of these, `nohup` another; programs inherit that, and those that tests start
    # and signal would, too.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

_NO_SERVERS = frozenset({"sqlite", "file"})
"""The kinds of stores, among those that a test has as parameters, for which no server is started."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what waits for a real server: each takes seconds to start."""
    for item in items:
        if isinstance(item, pytest.Function) and "real_servers" in item.fixturenames:
            parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
            if not any(isinstance(one, str) and one in _NO_SERVERS for one in parameters):
                item.add_marker(pytest.mark.slow)
