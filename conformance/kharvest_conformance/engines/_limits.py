"""What an engine must take."""

from __future__ import annotations

from kharvest.records import MAX_COMMIT_BYTES, MAX_COMMIT_ROWS, MAX_KEY_BYTES, MAX_VALUE_BYTES
from kharvest_conformance.engines._base import Base, commit, get, scan
from kharvest_conformance.engines._harness import Place


class LimitTests(Base):
    """Keys, values and commits of the largest size."""

    def test_the_longest_keys_are_told_apart(self, place: Place) -> None:
        engine = place.open()
        rows = {b"k" * (MAX_KEY_BYTES - 1) + last: last for last in (b"\0", b"a", b"b", b"\xff")}
        rows[b"k" * (MAX_KEY_BYTES - 1)] = b"shorter"
        commit(engine, rows)
        assert get(engine, *rows) == rows
        assert scan(engine) == sorted(rows.items())

    def test_the_longest_values_come_back_whole(self, place: Place) -> None:
        engine = place.open()
        rows = {b"%d" % number: bytes([number]) * MAX_VALUE_BYTES for number in range(3)}
        commit(engine, rows)
        assert get(engine, *rows) == rows
        assert scan(engine) == sorted(rows.items())
        commit(engine, {b"0": b""}, expected=rows)

    def test_a_commit_of_the_most_rows_is_done_whole(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {number.to_bytes(8): b"" for number in range(MAX_COMMIT_ROWS)})
        middle = (MAX_COMMIT_ROWS // 2).to_bytes(8)
        assert len(scan(engine, middle, limit=MAX_COMMIT_ROWS)) == MAX_COMMIT_ROWS // 2
        third = MAX_COMMIT_ROWS // 3
        expected: dict[bytes, bytes | None] = {number.to_bytes(8): b"" for number in range(third)}
        keys = [number.to_bytes(8) for number in range(third)]
        commit(engine, dict.fromkeys(expected, b"new"), expected=expected)
        assert get(engine, *keys) == dict.fromkeys(keys, b"new")
        commit(engine, {}, deletes=[number.to_bytes(8) for number in range(MAX_COMMIT_ROWS)])
        assert scan(engine, limit=1) == []

    def test_a_commit_of_the_most_bytes_is_done_whole(self, place: Place) -> None:
        engine = place.open()
        number = MAX_COMMIT_BYTES // (MAX_VALUE_BYTES + 8)
        commit(engine, {at.to_bytes(8): bytes([at % 256]) * MAX_VALUE_BYTES for at in range(number)})
        last = (number - 1).to_bytes(8)
        assert get(engine, last) == {last: bytes([(number - 1) % 256]) * MAX_VALUE_BYTES}
        assert len(scan(engine)) == number
