"""Claims: a row for each lease, changed in the one transaction that writes, so that one taker wins."""

from __future__ import annotations

from collections.abc import Collection

from kharvest_lmdb.environment import Environment


class Claims:
    """The leases of the store."""

    _environment: Environment

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = set()
        with self._environment.writing() as transaction:
            for key in keys:
                row = transaction.get("leases", key)
                if row is None or row[8:].decode() == holder or int.from_bytes(row[:8]) <= now_ns:
                    transaction.put("leases", key, until_ns.to_bytes(8) + holder.encode())
                    held.add(key)
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self._environment.writing() as transaction:
            for key in keys:
                row = transaction.get("leases", key)
                if row is not None and row[8:].decode() == holder:
                    transaction.delete("leases", key)
