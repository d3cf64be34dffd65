"""`get` and `scan`."""

from __future__ import annotations

import random
from itertools import product

from kharvest_conformance.engines._base import Base, commit, get, scan
from kharvest_conformance.engines._harness import Place

KEYS = [
    b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"a\0b", b"aa", b"ab", b"A", b"Z", b"a ", b" a", b"b", b"ba",
    b"\x7f", b"\x80", b"\xc3\xa9", b"\xfe", b"\xfe\xff", b"10", b"9", b"a%", b"a_", b"a*", b"*",
]  # fmt: skip
"""Keys that differ as bytes, and that are one, or in another order, to whoever takes them for text or numbers."""
ROWS = {key: b"value of " + key for key in KEYS}


class ReadingTests(Base):
    """What is read is what was committed."""

    def test_get_gives_the_rows_that_are_there_and_no_others(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1", b"b": b"2"})
        assert get(engine, b"a", b"absent") == {b"a": b"1"}, "an absent key is left out"
        assert get(engine) == {}
        assert get(engine, b"b", b"a", b"b") == {b"a": b"1", b"b": b"2"}, "a key may be asked for twice"

    def test_an_empty_value_is_a_row(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"empty": b""})
        assert get(engine, b"empty") == {b"empty": b""}
        assert scan(engine) == [(b"empty", b"")]

    def test_keys_and_values_are_exact_bytes(self, place: Place) -> None:
        engine = place.open()
        commit(engine, ROWS)
        assert get(engine, *KEYS) == ROWS
        every_byte = bytes(range(256))
        commit(engine, {every_byte: every_byte})
        assert get(engine, every_byte) == {every_byte: every_byte}

    def test_what_is_read_stays_bytes_after_its_view_is_closed(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1", b"b": b"2"})
        with engine.view() as view:
            found, rows = view.get([b"a"]), view.scan(b"a", b"c", limit=2)
        commit(engine, {b"a": b"x" * 100}, deletes=[b"b"])
        assert found == {b"a": b"1"}
        assert list(rows) == [(b"a", b"1"), (b"b", b"2")]
        kinds = {type(one) for row in [*found.items(), *rows] for one in row}
        assert kinds == {bytes}, "keys and values are bytes, not buffers"

    def test_scan_gives_rows_in_the_order_of_their_bytes(self, place: Place) -> None:
        engine = place.open()
        commit(engine, ROWS)
        assert [key for key, _value in scan(engine)] == sorted(KEYS)
        assert scan(engine) == sorted(ROWS.items())

    def test_scan_includes_its_start_and_excludes_its_end(self, place: Place) -> None:
        engine = place.open()
        commit(engine, ROWS)
        for reverse in (False, True):
            keys = [key for key, _value in scan(engine, b"a", b"ab", reverse=reverse)]
            assert b"a" in keys, "a scan includes its start"
            assert b"ab" not in keys, "a scan excludes its end"

    def test_scan_with_reverse_begins_at_the_end(self, place: Place) -> None:
        engine = place.open()
        commit(engine, ROWS)
        assert scan(engine, reverse=True) == sorted(ROWS.items(), reverse=True)
        assert scan(engine, b"a", b"b", reverse=True, limit=1) == [(b"ab", ROWS[b"ab"])], (
            "the limit counts from the end"
        )

    def test_scan_gives_no_more_rows_than_its_limit_and_no_fewer(self, place: Place) -> None:
        engine = place.open()
        commit(engine, ROWS)
        for reverse, limit in product((False, True), (1, 2, len(ROWS) - 1, len(ROWS), len(ROWS) + 1)):
            expected = sorted(ROWS.items(), reverse=reverse)[:limit]
            assert scan(engine, reverse=reverse, limit=limit) == expected

    def test_a_scan_between_no_keys_is_empty(self, place: Place) -> None:
        engine = place.open()
        assert scan(engine) == []
        commit(engine, ROWS)
        for reverse in (False, True):
            assert scan(engine, b"a", b"a", reverse=reverse) == []
            assert scan(engine, b"b", b"a", reverse=reverse) == [], "start is behind end"
            assert scan(engine, b"ac", b"ad", reverse=reverse) == []
            assert scan(engine, b"\xff", b"\xff\xff", reverse=reverse) == []

    def test_start_and_end_may_be_longer_than_any_key(self, place: Place) -> None:
        engine = place.open()
        longest = b"k" * 320
        commit(engine, {longest: b"1", b"l": b"2"})
        for reverse in (False, True):
            assert scan(engine, longest, longest + b"\0", reverse=reverse) == [(longest, b"1")]
            assert scan(engine, longest + b"\0", b"m", reverse=reverse) == [(b"l", b"2")]

    def test_scans_of_random_rows_are_those_of_a_sorted_list(self, place: Place) -> None:
        engine = place.open()
        dice = random.Random(1)  # noqa: S311
        alphabet = b"\0\1ab\xfe\xff"

        def key(shortest: int) -> bytes:
            return bytes(dice.choices(alphabet, k=dice.randint(shortest, 4)))

        rows: dict[bytes, bytes] = {}
        for _ in range(40):
            puts = {key(1): key(0) for _ in range(20)}
            deletes = {one for one in rows if dice.random() < 0.2} - puts.keys()
            commit(engine, puts, deletes=deletes)
            rows = {name: value for name, value in (rows | puts).items() if name not in deletes}
            start, end, reverse, limit = key(1), key(1), dice.random() < 0.5, dice.randint(1, 40)
            expected = sorted((row for row in rows.items() if start <= row[0] < end), reverse=reverse)[:limit]
            assert scan(engine, start, end, reverse=reverse, limit=limit) == expected, (start, end, reverse, limit)
