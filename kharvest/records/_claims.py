"""Leases: a row for each."""

from __future__ import annotations

from collections.abc import Collection

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records._commits import Change
from kharvest.records._engine import View


def claim(view: View, wanted: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> Change[set[bytes]]:
    """See `ReferenceStore.claim`."""
    change = Change[set[bytes]](set())
    found = view.get([keys.claim(key) for key in wanted])
    lease = rows.of_lease(until_ns, holder)
    for key in wanted:
        row = found.get(keys.claim(key))
        change.expected[keys.claim(key)] = row
        end_ns, owner = (0, holder) if row is None else rows.to_lease(row)
        if owner == holder or end_ns <= now_ns:
            change.answer.add(key)
            if row != lease:
                change.puts[keys.claim(key)] = lease
    return change


def release(view: View, wanted: Collection[bytes], holder: str) -> Change[None]:
    """See `ReferenceStore.release`."""
    change = Change[None](None)
    for key, row in view.get([keys.claim(key) for key in wanted]).items():
        change.expected[key] = row
        if rows.to_lease(row)[1] == holder:
            change.deletes.add(key)
    return change
