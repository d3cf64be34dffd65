"""Walking the references that a plan leads to, in the order of their keys, no further than a page needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kharvest.spi import Order
from kharvest_sql._database import Session
from kharvest_sql._filters import Condition, Plan, all_of, parameters_of

_COLUMNS = ("observed_at_ns", "pod_id", "path_id", "signature_id", "metadata_id")
_KEY = ", ".join(f"r.{column}" for column in _COLUMNS)
_NO_WAY = (0,)
"""In the place of a way's values, where there is none."""

FIRST, LAST = -1, 2**63 - 1
"""The numbers before and behind all of a key's."""

Position: TypeAlias = tuple[int, int, int, int, int]
"""A reference's place in the total order: its key."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The order in which a query goes through the history."""

    word: str
    beyond: str
    within: str
    is_reverse: bool
    last: int
    """A number behind all of one time, in the place of each of the key's others."""

    @property
    def order(self) -> str:
        return ", ".join(f"r.{column} {self.word}" for column in _COLUMNS)

    def after(self, position: Position) -> Condition:
        # The first half is for the index: not every database finds its start by a comparison of rows.
        marks = ", ".join("?" * len(_COLUMNS))
        sql = f"r.observed_at_ns {self.beyond}= ? AND ({_KEY}) {self.beyond} ({marks})"
        return Condition(sql, (position[0], *position))

    def until(self, time_ns: int | None) -> tuple[Condition, ...]:
        """What comes no later than all of this time; with None, no condition."""
        return () if time_ns is None else (Condition(f"r.observed_at_ns {self.within} ?", (time_ns,)),)

    def end_of(self, time_ns: int) -> Position:
        """The position behind all of this time."""
        return (time_ns, self.last, self.last, self.last, self.last)

    def is_within(self, time_ns: int, end_ns: int | None) -> bool:
        """Whether a time comes no later than another; with None, always."""
        return end_ns is None or (time_ns >= end_ns if self.is_reverse else time_ns <= end_ns)

    def nth(self, times: Iterable[int], n: int) -> int | None:
        """The n-th of some times, from 0; None if there are not so many."""
        in_order = sorted(times, reverse=self.is_reverse)
        return in_order[n] if n < len(in_order) else None


DIRECTIONS = {
    Order.OLDEST_FIRST: Direction("ASC", ">", "<=", is_reverse=False, last=LAST),
    Order.NEWEST_FIRST: Direction("DESC", "<", ">=", is_reverse=True, last=FIRST),
}


@dataclass(frozen=True, slots=True)
class Walk:
    """The references that a plan leads to, within bounds on their time, in one direction."""

    session: Session
    how: Plan
    bounds: Sequence[Condition]
    direction: Direction

    def first(self, wanted: int, most: int | None) -> tuple[list[Position], int | None]:
        """The first matches, and the time up to which was looked; None if that was to the end, or all match.

        With `most`, it looks at about so many rows. Without, all rows must match, and nothing is left out.
        """
        values = self.how.way.values
        if most is not None:
            times = self._times(values or _NO_WAY, most // max(1, len(values)))
            end_ns = self.direction.nth(times.values(), 0)
            conditions = [*self.bounds, *self.direction.until(end_ns), *self.how.others]
            return self._rows(values, conditions, wanted), end_ns
        if len(values) <= 1 or not self.how.is_in_order:
            return self._rows(values, self.bounds, wanted), None
        some, end_ns = self._narrowed(values, wanted)
        return self._rows(some, [*self.bounds, *self.direction.until(end_ns)], wanted) if some else [], None

    def _narrowed(self, values: Sequence[int], wanted: int) -> tuple[Sequence[int], int | None]:
        """Those of the way's values that may have some of the first rows, and a time by which `wanted` have come.

        It takes some steps in the index for each value, and saves reading `wanted` rows of each.
        """
        share = -(-wanted // len(values))
        times = self._times(values, share - 1)
        # By its end, so many values have had their share that it makes enough ...
        end_ns = self.direction.nth(times.values(), -(-wanted // share) - 1)
        if share == 1:
            values = [value for value, time_ns in times.items() if self.direction.is_within(time_ns, end_ns)]
        # ... or before that, one of them alone has had enough, however seldom the others come.
        alone = self._times(values, wanted - 1, end_ns).values() if len(values) > 1 else ()
        return values, self.direction.nth(alone, 0) if alone else end_ns

    def _times(self, values: Sequence[int], skipped: int, end_ns: int | None = None) -> dict[int, int]:
        """For each of the way's values that has so many rows and one more, until a time, the time of that one."""
        bounds = [*self.bounds, *self.direction.until(end_ns)]
        parameters = parameters_of(bounds)
        column = self.how.way.column
        of_value = Condition(f"r.{column} = {{value}}" if column else "1 = 1")
        sql = (
            f"SELECT r.observed_at_ns FROM {self.how.table} r WHERE {all_of([of_value, *bounds])} "  # noqa: S608
            f"ORDER BY r.observed_at_ns {self.direction.word} LIMIT 1 OFFSET {skipped}"
        )
        if len(values) == 1:
            row = self.session.first(sql.format(value=values[0]), parameters)
            return {} if row is None else {values[0]: row[0]}
        statement, times, behind = self.session.dialect.of_each(values, sql)
        rows = self.session.all(statement, [*parameters * times, *behind])
        return {value: time_ns for value, time_ns in rows if time_ns is not None}

    def _rows(self, values: Sequence[int], conditions: Sequence[Condition], wanted: int) -> list[Position]:
        table, column, order = self.how.table, self.how.way.column, self.direction.order
        parameters: Sequence[Any] = ()
        if len(values) > 1:
            where = all_of(conditions)
            found, parameters = self.session.dialect.found(table, column, values, where, order, wanted)
        else:
            of_value = Condition(f"r.{column} = {values[0]}" if values else "1 = 1")
            found = f"FROM {table} r WHERE {all_of([of_value, *conditions])}"
        sql = f"SELECT {_KEY} {found} ORDER BY {order} LIMIT {wanted}"
        rows = self.session.all(sql, [*parameters, *parameters_of(conditions)])
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
