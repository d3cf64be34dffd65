"""`view`: one moment."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from kharvest_conformance.engines._base import EVERYTHING, Base, beside, commit, get, scan, started
from kharvest_conformance.engines._harness import Place


class ViewingTests(Base):
    """A view shows one moment, and stops nobody for long."""

    def test_a_view_shows_what_was_committed_before_it(self, place: Place) -> None:
        engine = place.open()
        for number in range(50):
            commit(engine, {b"a": b"%d" % number})
            assert get(engine, b"a") == {b"a": b"%d" % number}

    def test_a_view_does_not_show_what_is_committed_while_it_is_open(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1", b"b": b"1"})
        with engine.view() as view:
            before = view.get([b"a"]), list(view.scan(*EVERYTHING, limit=9))
            with started(lambda: commit(engine, {b"a": b"2", b"c": b"2"}, deletes=[b"b"])) as finish:
                assert (view.get([b"a"]), list(view.scan(*EVERYTHING, limit=9))) == before
                assert view.get([b"b", b"c"]) == {b"b": b"1"}
        finish()
        assert dict(scan(engine)) == {b"a": b"2", b"c": b"2"}, "a commit that waited for a view is done"

    def test_each_commit_is_seen_whole_or_not_at_all(self, place: Place) -> None:
        engine = place.open()
        keys = [b"%d" % number for number in range(20)]
        commit(engine, dict.fromkeys(keys, b"0"))
        ended = threading.Event()

        def change() -> None:
            try:
                for number in range(100):
                    commit(
                        engine,
                        dict.fromkeys(keys, b"%d" % number) | {b"x%d" % number: b""},
                        deletes=[b"x%d" % (number - 1)],
                    )
            finally:
                ended.set()

        with beside(change):
            while not ended.is_set():
                with engine.view() as view:
                    found, rows = view.get(keys), list(view.scan(*EVERYTHING, limit=99))
                assert len(set(found.values())) == 1, "a view shows a commit in part"
                assert {key: value for key, value in rows if not key.startswith(b"x")} == found
                assert len(rows) <= len(keys) + 1

    def test_a_view_whose_block_raises_is_closed(self, place: Place) -> None:
        engine = place.open()
        for number in range(20):
            with pytest.raises(ZeroDivisionError), engine.view() as view:  # noqa: PT012  # the block is what raises
                view.get([b"a"])
                raise ZeroDivisionError
            with beside(partial(commit, engine, {b"a": b"%d" % number})):
                pass
        assert get(engine, b"a") == {b"a": b"19"}
