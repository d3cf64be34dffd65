"""Connections to MySQL and MariaDB: the settings on which we rely, and the limits that we cannot set."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event

from kharvest.spi import StoreDenied

_LEAST_PACKET_BYTES = 2**20
"""For the largest statement: a chunk, each byte of which may be escaped, or a batch of rows, which PyMySQL cuts so."""
_IDLE_SECONDS = 60


def set_up(engine: Engine, answer_seconds: int, last: str | None) -> None:
    """Give the engine's connections our settings, then execute `last`: what the URL's option `init_command` says."""

    # Not at the event `connect`: SQLAlchemy looks at the modes before.
    @event.listens_for(engine, "do_connect")
    def connect(dialect: Dialect, _record: object, args: list[Any], options: dict[str, Any]) -> Any:
        connection: Any = dialect.connect(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            version: str = cursor.fetchone()[0]
            wanted = _settings(answer_seconds, is_mariadb="mariadb" in version.lower())
            cursor.execute(f"SET SESSION {', '.join(f'{name} = {value}' for name, value in wanted.items())}")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if last:
                cursor.execute(last)
        return connection


def _settings(answer_seconds: int, *, is_mariadb: bool) -> dict[str, str | float]:
    """What a session is set to; the server may have other values, which were not chosen for us."""
    common: dict[str, str | float] = {
        # What changes the meaning of our statements.
        "sql_mode": "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        "default_storage_engine": "InnoDB",
        "completion_type": "NO_CHAIN",
        "sql_safe_updates": 0,
        "sql_big_selects": 1,
        "sql_select_limit": 2**64 - 1,
        "max_sort_length": 8192,  # whole paths: by itself it sorts by the first 1024 bytes
        # How long the server waits for others.
        "innodb_lock_wait_timeout": answer_seconds // 2,
        "lock_wait_timeout": answer_seconds // 2,
        # And for us. When a client's host vanishes, its locks do not stay.
        "wait_timeout": _IDLE_SECONDS,
    }
    if is_mariadb:
        return {**common, "idle_transaction_timeout": answer_seconds, "max_statement_time": answer_seconds * 0.8}
    return {**common, "max_execution_time": answer_seconds * 800}


def check_limits(connection: Connection) -> None:
    """See that the server's own limits leave room for our statements.

    Raises:
        StoreDenied: they do not; it says what to set to what.
    """
    packet = connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()
    if packet < _LEAST_PACKET_BYTES:
        raise StoreDenied(
            f"the server's max_allowed_packet is {packet} bytes, and statements of {_LEAST_PACKET_BYTES} are needed",
            f"set max_allowed_packet={_LEAST_PACKET_BYTES} on the server, or more, and connect again",
        )
