"""Claims: leases in a table."""

from __future__ import annotations

from collections.abc import Collection

from kharvest_sql.database import Session
from kharvest_sql.schema import CLAIM

_FREE = b""
"""The holder of a key that was never held: no holder is empty."""


def claim(session: Session, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
    """See `ReferenceStore.claim`."""
    name = holder.encode()
    rows = session.claim_rows(CLAIM, "claim_key", "holder until_ns", [(key, _FREE, 0) for key in set(keys)])
    held = {key for key, owner, end_ns in rows if owner in {name, _FREE} or end_ns <= now_ns}
    session.upsert(CLAIM, "claim_key", "holder until_ns", [(key, name, until_ns) for key in sorted(held)])
    return held


def release(session: Session, keys: Collection[bytes], holder: str) -> None:
    """See `ReferenceStore.release`."""
    ours = {
        row[0]
        for row in session.matching(
            "SELECT claim_key, holder FROM kharvest_claim WHERE claim_key IN",
            sorted(set(keys)),
            f" ORDER BY claim_key{session.dialect.lock_rows}",
        )
        if row[1] == holder.encode()
    }
    session.run_matching("DELETE FROM kharvest_claim WHERE claim_key IN", ours)
