"""Connections to PostgreSQL: none waits longer than it may, and the settings on which we rely."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

from kharvest_sql._dialects import PostgreSQL, Result

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when its server does not answer in time.

    libpq's `tcp_user_timeout` would not do: it counts while data is not acknowledged, and a load balancer that has lost
    the server goes on acknowledging.

    Attributes:
        answer_seconds: how long an answer may take.
    """

    answer_seconds: float

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Wait for what the server sends. psycopg waits here for everything but connecting."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        deadline = time.monotonic() + self.answer_seconds
        try:
            wanted = next(gen)
            while True:
                # psycopg asks at short intervals whether to go on; nothing is ready then.
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer


class Psycopg(PostgreSQL):
    """PostgreSQL with this driver: statements without parameters travel together."""

    def run(self, driver: Any, before: Sequence[str], sql: str, parameters: Any, *, repeats: bool) -> Result:
        cursor: psycopg.Cursor[Any] = driver.cursor()
        if before and not parameters:
            cursor.execute("; ".join((*before, sql)), prepare=False)
            while cursor.nextset():
                pass
            return cursor
        if before:
            cursor.execute("; ".join(before), prepare=False)
        # One plan for all parameters is not a good one for what a query's restrictions make of a statement.
        return cursor.execute(self.spell(sql), parameters, prepare=None if repeats else False)


def set_up(engine: Engine, answer_seconds: int) -> None:
    """Make the engine's connections bounded ones, with our settings."""
    statement = _settings(answer_seconds)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(*args, **options, autocommit=True)
        connection.answer_seconds = answer_seconds
        connection.execute(statement)
        return connection


def _settings(answer_seconds: int) -> bytes:
    """A statement that makes our settings, but for those that come with the connection: by the URL's `options`.

    A role or a database may have other values, which were not chosen for us.
    """
    wanted = {
        # The server gives up before the client does: a slow statement need not cost the connection.
        "statement_timeout": f"{answer_seconds * 800}ms",
        "lock_timeout": f"{answer_seconds * 500}ms",
        # When a client's host vanishes, its locks do not stay.
        "idle_in_transaction_session_timeout": f"{answer_seconds}s",
        "transaction_timeout": "0",  # since PostgreSQL 17
        # What a statement outside of a transaction sees.
        "default_transaction_isolation": "read committed",
        # How the driver writes bytes, and arrays of them.
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "synchronous_commit": "on",
    }
    values = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
    return (
        f"SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES {values}) AS wanted (name, value) "  # noqa: S608
        # All that is not "off" is durable on this server; more than that is the operator's choice.
        "USING (name) WHERE source <> 'client' AND (name <> 'synchronous_commit' OR setting = 'off')"
    ).encode()
