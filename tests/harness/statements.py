"""The statements that stores in databases execute, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import PoolProxiedConnection

from kharvest_sql._connections import Lent
from kharvest_sql._dialects import Execute, Result, Sqlite


@contextmanager
def statements_executed() -> Iterator[list[str]]:
    """A list to which each statement of a call is added meanwhile."""
    statements: list[str] = []
    of_sqlite, of_server, ahead_on_server = Sqlite.execute_on, Lent.__call__, Lent.ahead

    def noting(connection: PoolProxiedConnection) -> Execute:
        execute = of_sqlite(connection)

        def execute_noted(sql: str, parameters: Any) -> Any:
            statements.append(sql)
            return execute(sql, parameters)

        return execute_noted

    def executing(self: Lent, sql: str, parameters: Any) -> Result:
        statements.append(sql)
        return of_server(self, sql, parameters)

    def ahead(self: Lent, sql: str) -> None:
        statements.append(sql)
        ahead_on_server(self, sql)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(Sqlite, "execute_on", staticmethod(noting))
        patches.setattr(Lent, "__call__", executing)
        patches.setattr(Lent, "ahead", ahead)
        yield statements
