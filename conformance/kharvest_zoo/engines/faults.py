"""The faults. Each is a class whose docstring says what is wrong, and `CAUGHT_BY` names the test that finds it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kharvest.records import MAX_COMMIT_BYTES, MAX_COMMIT_ROWS, Row
from kharvest.spi import Capability, StoreFull
from kharvest_zoo.engines.plain import PlainEngine, PlainView

CAUGHT_BY: dict[type[PlainEngine], str] = {}


def caught_by(test: str) -> Callable[[type[PlainEngine]], type[PlainEngine]]:
    """Register a fault with the test that finds it."""

    def register(fault: type[PlainEngine]) -> type[PlainEngine]:
        CAUGHT_BY[fault] = test
        return fault

    return register


class _OwnView(PlainEngine):
    """An engine with a kind of view of its own."""

    kind: type[PlainView]

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        yield self.kind(self.load())


@caught_by("test_get_gives_the_rows_that_are_there_and_no_others")
class AbsentIsEmpty(_OwnView):
    """`get` gives an empty value for a key that is not there."""

    class kind(PlainView):
        def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
            return {key: self.rows.get(key, b"") for key in keys}


@caught_by("test_an_empty_value_is_a_row")
class EmptyIsAbsent(_OwnView):
    """A row with an empty value does not show."""

    class kind(PlainView):
        def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
            return {key: value for key, value in super().get(keys).items() if value}


@caught_by("test_keys_and_values_are_exact_bytes")
class TrailingNulsAreNothing(PlainEngine):
    """Keys are padded with NULs, as in a column of fixed length."""

    def load(self) -> dict[bytes, bytes]:
        return {key.rstrip(b"\0") or b"\0": value for key, value in super().load().items()}


@caught_by("test_what_is_read_stays_bytes_after_its_view_is_closed")
class GivesBuffers(_OwnView):
    """Values are buffers of the database, not bytes."""

    class kind(PlainView):
        def get(self, keys: Collection[bytes]) -> dict[bytes, Any]:
            return {key: memoryview(value) for key, value in super().get(keys).items()}


@caught_by("test_scan_gives_rows_in_the_order_of_their_bytes")
class OrdersAsText(_OwnView):
    """Rows come in the order of text that ignores case."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            rows = super().scan(start, end, reverse=reverse, limit=limit)
            return sorted(rows, key=lambda row: row[0].lower(), reverse=reverse)


@caught_by("test_scan_includes_its_start_and_excludes_its_end")
class IncludesTheEnd(_OwnView):
    """A scan includes its end."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            return super().scan(start, end + b"\0", reverse=reverse, limit=limit)


@caught_by("test_scan_includes_its_start_and_excludes_its_end")
class ExcludesTheStart(_OwnView):
    """A scan excludes its start."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            return super().scan(start + b"\0", end, reverse=reverse, limit=limit)


@caught_by("test_scan_with_reverse_begins_at_the_end")
class ReversesTheFirst(_OwnView):
    """A scan that is reversed takes the first rows, and then reverses them."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            rows = super().scan(start, end, limit=limit)
            return rows[::-1] if reverse else rows


@caught_by("test_scan_gives_no_more_rows_than_its_limit_and_no_fewer")
class ShortBlocks(_OwnView):
    """A scan ends at the end of a block of 10 rows."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            return super().scan(start, end, reverse=reverse, limit=min(limit, 10))


@caught_by("test_a_scan_between_no_keys_is_empty")
class SwapsStartAndEnd(_OwnView):
    """A scan whose start is behind its end goes from the end to the start."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            return super().scan(min(start, end), max(start, end), reverse=reverse, limit=limit)


@caught_by("test_start_and_end_may_be_longer_than_any_key")
class CutsBounds(_OwnView):
    """Start and end are cut to the length of the longest key."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            return super().scan(start[:320], end[:320], reverse=reverse, limit=limit)


@caught_by("test_scans_of_random_rows_are_those_of_a_sorted_list")
class ForgetsTheLastOfReverse(_OwnView):
    """A reversed scan whose end is a key leaves out the row before it."""

    class kind(PlainView):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
            rows = list(super().scan(start, end, reverse=reverse, limit=limit + 1))
            return rows[1:] if reverse and end in self.rows and len(rows) > 3 else rows[:limit]


@caught_by("test_a_put_replaces_and_a_delete_removes")
class KeepsTheFirst(PlainEngine):
    """A put does not replace the value that a key has."""

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        super().save({**rows, **{key: value for key, value in self.load().items() if key in rows}})


@caught_by("test_deleting_what_is_not_there_is_allowed")
class DeletesWhatIsThere(PlainEngine):
    """Deleting what is not there is refused."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        return set(deletes) <= self.load().keys() and super().commit(expected, puts, deletes)


@caught_by("test_a_commit_of_nothing_succeeds")
class RefusesNothing(PlainEngine):
    """A commit without changes is taken for one that failed."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        return super().commit(expected, puts, deletes) and bool(puts or deletes)


@caught_by("test_batches_come_in_any_collection")
class WantsLists(_OwnView):
    """`get` wants a sequence."""

    class kind(PlainView):
        def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
            sequence: Any = keys
            return super().get([sequence[at] for at in range(len(keys))])


@caught_by("test_a_commit_is_refused_when_a_value_is_not_as_expected")
class ExpectsNothing(PlainEngine):
    """What is expected is not compared."""

    def is_expected(self, rows: Mapping[bytes, bytes], expected: Mapping[bytes, bytes | None]) -> bool:
        return True


@caught_by("test_a_commit_is_refused_when_a_value_is_not_as_expected")
class NoneIsAnything(PlainEngine):
    """Where no row is expected, any will do."""

    def is_expected(self, rows: Mapping[bytes, bytes], expected: Mapping[bytes, bytes | None]) -> bool:
        return super().is_expected(rows, {key: value for key, value in expected.items() if value is not None})


@caught_by("test_a_commit_is_refused_when_a_value_is_not_as_expected")
class NoneIsEmpty(PlainEngine):
    """A row with an empty value counts as none."""

    def is_expected(self, rows: Mapping[bytes, bytes], expected: Mapping[bytes, bytes | None]) -> bool:
        return all((rows.get(key) or None) == (value or None) for key, value in expected.items())


@caught_by("test_a_commit_is_refused_when_a_value_is_not_as_expected")
class DeletesFirst(PlainEngine):
    """Rows are deleted before anything is compared."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        super().commit({}, {}, set(deletes) - expected.keys())
        return super().commit(expected, puts, deletes)


@caught_by("test_a_commit_is_done_when_each_value_is_as_expected")
class ExpectsARow(PlainEngine):
    """A commit that expects no row is refused."""

    def is_expected(self, rows: Mapping[bytes, bytes], expected: Mapping[bytes, bytes | None]) -> bool:
        return all(key in rows and rows[key] == value for key, value in expected.items())


@caught_by("test_what_is_expected_counts_also_for_rows_that_do_not_change")
class ComparesWhatChanges(PlainEngine):
    """Only rows that change are compared."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        changed = {*puts, *deletes}
        return super().commit({key: value for key, value in expected.items() if key in changed}, puts, deletes)


@caught_by("test_what_is_expected_may_be_deleted")
class ComparesWhatIsPut(PlainEngine):
    """Rows that are deleted are not compared."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        doomed = set(deletes)
        return super().commit({key: value for key, value in expected.items() if key not in doomed}, puts, deletes)


class _ComparesBefore(PlainEngine):
    """What is expected is compared before the lock is taken."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        if not self.is_expected(self.load(), expected):
            return False
        time.sleep(0.001)
        return super().commit({}, puts, deletes)


@caught_by("test_of_commits_that_expect_the_same_one_is_done")
class ComparesBefore(_ComparesBefore):
    """What is expected is compared before the lock is taken."""


@caught_by("test_no_change_is_lost_between_threads")
class LosesChangesOfThreads(_ComparesBefore):
    """What is expected is compared before the lock is taken: counts are lost."""


@caught_by("test_a_change_of_another_row_does_not_refuse_a_commit")
class ComparesEverything(PlainEngine):
    """A commit is refused whenever another one took effect since the one before on the same thread."""

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        before = self.load()
        time.sleep(0.001)
        with self.locked():
            if self.load() != before:
                return False
        return super().commit(expected, puts, deletes)


@caught_by("test_a_view_shows_what_was_committed_before_it")
class ShowsTheSecondLast(PlainEngine):
    """A view shows the rows as they were before the last commit."""

    before: Mapping[bytes, bytes] | None = None

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        self.before = self.load()
        super().save(rows)

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        yield PlainView(self.load() if self.before is None else self.before)


class _Live(PlainEngine):
    """A view shows what is there now, at each call."""

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        engine = self

        class Live(PlainView):
            def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
                return PlainView(engine.load()).get(keys)

            def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
                return PlainView(engine.load()).scan(start, end, reverse=reverse, limit=limit)

        yield Live({})


@caught_by("test_a_view_does_not_show_what_is_committed_while_it_is_open")
class LiveView(_Live):
    """A view shows what is there now, at each call."""


@caught_by("test_a_view_does_not_show_what_another_handle_commits_meanwhile")
class LiveViewOfOthers(_Live):
    """A view shows what other handles commit meanwhile."""


@caught_by("test_each_commit_is_seen_whole_or_not_at_all")
class CommitsInHalves(PlainEngine):
    """A commit takes effect in two steps."""

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        before = self.load()
        half = dict(sorted(rows.items())[: len(rows) // 2])
        super().save(before | half)
        time.sleep(0.001)
        super().save(rows)


@caught_by("test_a_view_whose_block_raises_is_closed")
class StaysOpen(PlainEngine):
    """A view whose block raises keeps its lock."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._lock = threading.Lock()

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        self._lock.acquire()
        yield PlainView(self.load())
        self._lock.release()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock, super().locked():
            yield


@caught_by("test_a_view_whose_block_raises_is_closed")
class SwallowsErrors(PlainEngine):
    """A view ends its block without the error that was raised there."""

    @contextmanager
    def view(self) -> Iterator[PlainView]:
        with suppress(Exception):
            yield PlainView(self.load())


@caught_by("test_the_longest_keys_are_told_apart")
class CutsKeys(PlainEngine):
    """Keys are cut to 255 bytes."""

    def load(self) -> dict[bytes, bytes]:
        return {key[:255]: value for key, value in super().load().items()}


@caught_by("test_the_longest_values_come_back_whole")
class CutsValues(PlainEngine):
    """Values are cut to what 16 bits can count."""

    def load(self) -> dict[bytes, bytes]:
        return {key: value[:65535] for key, value in super().load().items()}


@caught_by("test_a_commit_of_the_most_rows_is_done_whole")
class FewRows(PlainEngine):
    """A commit of very many rows is refused."""

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        if len(rows) > MAX_COMMIT_ROWS // 2:
            raise StoreFull("the transaction has too many rows")
        super().save(rows)


@caught_by("test_a_commit_of_the_most_bytes_is_done_whole")
class FewBytes(PlainEngine):
    """A commit of very many bytes is refused."""

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        if sum(map(len, rows.values())) > MAX_COMMIT_BYTES // 2:
            raise StoreFull("the transaction is too large")
        super().save(rows)


@caught_by("test_capabilities_are_a_frozen_set_that_stays")
class DeclaresAList(PlainEngine):
    """Capabilities are a list."""

    capabilities: Any = [Capability.DURABLE, Capability.SHARED]  # noqa: RUF012  # that it can be changed is the fault


@caught_by("test_close_can_be_called_twice")
class ClosesOnce(PlainEngine):
    """Closing a second time fails."""

    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("closed")
        self.closed = True


@caught_by("test_closing_while_calls_are_under_way_loses_no_commit_and_ends_no_process")
class AbortsWhenClosed(PlainEngine):
    """A commit that finds the engine closed ends the process, as a library in C does whose handle is gone."""

    closed = False

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        if self.closed:
            os.abort()
        super().save(rows)

    def close(self) -> None:
        self.closed = True


@caught_by("test_closing_while_calls_are_under_way_loses_no_commit_and_ends_no_process")
class AcknowledgesWhenClosed(PlainEngine):
    """A commit that finds the engine closed returns True, and writes nothing."""

    closed = False

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        if not self.closed:
            super().save(rows)

    def close(self) -> None:
        self.closed = True


@caught_by("test_the_clock_is_a_number_of_nanoseconds")
class ClockOfSeconds(PlainEngine):
    """The clock gives seconds."""

    def now_ns(self) -> int:
        return int(time.time())


class _Cached(PlainEngine):
    """Rows are kept in memory, and written when the engine is closed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.kept = super().load()

    def load(self) -> dict[bytes, bytes]:
        return dict(self.kept)

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        self.kept = dict(rows)


@caught_by("test_rows_are_there_after_reopening")
class LosesAll(_Cached):
    """Nothing is ever written."""


@caught_by("test_what_a_killed_process_committed_is_there")
class WritesAtTheEnd(_Cached):
    """Rows are written when the engine is closed."""

    def close(self) -> None:
        PlainEngine.save(self, self.kept)


class _ReadsOnce(PlainEngine):
    """Each handle reads the rows once, and keeps them."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.kept = super().load()

    def load(self) -> dict[bytes, bytes]:
        return dict(self.kept)

    def save(self, rows: Mapping[bytes, bytes]) -> None:
        self.kept = dict(rows)
        super().save(rows)


@caught_by("test_handles_see_each_other_s_commits_at_once")
class ReadsOnce(_ReadsOnce):
    """A handle does not see what others commit."""


@caught_by("test_no_change_is_lost_between_processes")
class LosesChangesOfProcesses(_ReadsOnce):
    """A process commits over what others have committed."""


@caught_by("test_closing_a_handle_leaves_the_others_open")
class ClosesAll(PlainEngine):
    """Closing one handle closes all."""

    closed: set[str] = set()  # noqa: RUF012  # that of all handles is the fault

    def close(self) -> None:
        self.closed.add(str(self.path))

    def load(self) -> dict[bytes, bytes]:
        if str(self.path) in self.closed:
            raise ValueError("closed")
        return super().load()


@caught_by("test_sharing_that_is_not_declared_is_refused_or_none")
class SharesInSecret(PlainEngine):
    """A second handle sees the rows of the first, though SHARED is not declared."""

    capabilities = frozenset({Capability.DURABLE})
