"""The statements that stores in databases execute, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from kharvest_sql.dialects import Execute, Sqlite


@contextmanager
def statements_executed() -> Iterator[list[str]]:
    """A list to which each statement is added meanwhile: on servers by SQLAlchemy, on SQLite by the driver."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        statements.append(statement)

    original = Sqlite.execute_on

    def noting(self: Sqlite, connection: Connection) -> Execute:
        execute = original(self, connection)

        def execute_noted(sql: str, parameters: Any) -> Any:
            statements.append(sql)
            return execute(sql, parameters)

        return execute_noted

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(Sqlite, "execute_on", noting)
            yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
