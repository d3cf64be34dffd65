"""`commit`: conditional, all or nothing."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from kharvest_conformance.engines._base import Base, add, commit, get, scan, together
from kharvest_conformance.engines._harness import Place


class CommittingTests(Base):
    """A commit does all that it says, if all is as expected, and nothing otherwise."""

    def test_a_put_replaces_and_a_delete_removes(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1", b"b": b"2"})
        commit(engine, {b"a": b"new"}, deletes=[b"b"])
        assert scan(engine) == [(b"a", b"new")]
        commit(engine, {b"b": b"again"})
        assert get(engine, b"b") == {b"b": b"again"}

    def test_deleting_what_is_not_there_is_allowed(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1"}, deletes=[b"absent"])
        commit(engine, {}, deletes=[b"absent"])
        assert scan(engine) == [(b"a", b"1")]

    def test_a_commit_of_nothing_succeeds(self, place: Place) -> None:
        commit(place.open(), {})

    def test_batches_come_in_any_collection(self, place: Place) -> None:
        engine = place.open()
        commit(engine, MappingProxyType({b"a": b"1", b"b": b"2", b"c": b"3"}), expected=MappingProxyType({b"a": None}))
        commit(engine, {}, deletes={b"a": None}.keys())
        commit(engine, {}, deletes=frozenset({b"b"}))
        with engine.view() as view:
            assert view.get({b"c": 1}.keys()) == view.get({b"c"}) == view.get((b"c",)) == {b"c": b"3"}

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [(b"1", b"2"), (b"1", None), (b"1", b""), (None, b"1"), (b"", None), (None, b""), (b"1", b"1\0"), (b"a", b"A")],
    )
    def test_a_commit_is_refused_when_a_value_is_not_as_expected(
        self, place: Place, stored: bytes | None, expected: bytes | None
    ) -> None:
        engine = place.open()
        before = {b"other": b"stays", b"doomed": b"stays"} | ({} if stored is None else {b"key": stored})
        commit(engine, before)
        done = engine.commit({b"other": b"stays", b"key": expected}, {b"key": b"new", b"more": b"new"}, [b"doomed"])
        assert done is False, f"the value is {stored!r}, expected was {expected!r}: commit returns False"
        assert dict(scan(engine)) == before, "a commit that returns False changes nothing"

    @pytest.mark.parametrize("value", [b"1", b"", None])
    def test_a_commit_is_done_when_each_value_is_as_expected(self, place: Place, value: bytes | None) -> None:
        engine = place.open()
        commit(engine, {} if value is None else {b"key": value})
        commit(engine, {b"key": b"new"}, expected={b"key": value, b"absent": None})
        assert get(engine, b"key") == {b"key": b"new"}

    def test_what_is_expected_counts_also_for_rows_that_do_not_change(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"read": b"1"})
        assert engine.commit({b"read": b"2"}, {b"written": b"1"}, ()) is False
        assert engine.commit({b"read": b"1"}, {b"written": b"1"}, ()) is True
        assert dict(scan(engine)) == {b"read": b"1", b"written": b"1"}, "what is expected is not written"

    def test_what_is_expected_may_be_deleted(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1"})
        assert engine.commit({b"a": b"2"}, {}, [b"a"]) is False
        assert engine.commit({b"a": b"1"}, {}, [b"a"]) is True
        assert scan(engine) == []

    def test_of_commits_that_expect_the_same_one_is_done(self, place: Place) -> None:
        engine = place.open()
        for number in range(20):
            key, done = b"%d" % number, list[bool]()

            def change(at: int, key: bytes = key, done: list[bool] = done) -> None:
                done.append(engine.commit({key: None}, {key: b"%d" % at}, ()))

            together(4, change)
            assert sorted(done) == [False, False, False, True]

    def test_no_change_is_lost_between_threads(self, place: Place) -> None:
        engine = place.open()
        together(4, lambda _at: add(engine, b"count", 25))
        assert int.from_bytes(get(engine, b"count")[b"count"]) == 100

    def test_a_change_of_another_row_does_not_refuse_a_commit(self, place: Place) -> None:
        engine = place.open()
        refused: list[bool] = []

        def count(at: int) -> None:
            key = b"%d" % at
            for number in range(25):
                before = None if number == 0 else b"%d" % number
                refused.append(not engine.commit({key: before}, {key: b"%d" % (number + 1)}, ()))

        together(4, count)
        assert not any(refused), "commits of different rows do not refuse each other"
