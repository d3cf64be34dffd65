"""A lock that a test holds in a database of SQL, and a call that waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine

PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
"""Between two looks: InnoDB's list of transactions stays as it is while it is read more often than each 100 ms."""
_WAITERS = {
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": (
        "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist p "
        "ON p.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND p.db = DATABASE()"
    ),
}


@contextmanager
def held(url: str, statement: str) -> Iterator[Connection]:
    """A transaction of the database at `url` that has executed `statement`, and holds its locks until the end."""
    engine = create_engine(url, isolation_level="READ COMMITTED")
    try:
        with engine.connect() as holder:
            holder.exec_driver_sql(statement)
            yield holder
    finally:
        engine.dispose()


@contextmanager
def blocked(url: str, call: Callable[[], object]) -> Iterator[list[object]]:
    """A call that waits for a lock in the database at `url`. Afterwards it has returned: what it did, or its error."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001  handed to the test
            outcome.append(error)

    thread = threading.Thread(target=run)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as watcher:
            waiters = _WAITERS["postgresql" if engine.dialect.name == "postgresql" else "mysql"]
            thread.start()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while thread.is_alive() and not watcher.exec_driver_sql(waiters).first():
                assert time.monotonic() < deadline, "the call waits for no lock"
                time.sleep(_PAUSE_SECONDS)
        yield outcome
    finally:
        engine.dispose()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "the call did not return"
