"""Claims: leases in a table."""

from __future__ import annotations

from collections.abc import Collection

from kharvest_sql._database import Session
from kharvest_sql._schema import CLAIM


def claim(session: Session, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
    name = holder.encode()
    rows = session.claim_rows(CLAIM, "claim_key", "holder until_ns", [(key, name, until_ns) for key in set(keys)])
    held = {key: (owner, end_ns) for key, owner, end_ns in rows if owner == name or end_ns <= now_ns}
    changed = [(key, name, until_ns) for key, lease in sorted(held.items()) if lease != (name, until_ns)]
    session.upsert(CLAIM, "claim_key", "holder until_ns", changed)
    session.changes_nothing = not held
    return set(held)


def release(session: Session, keys: Collection[bytes], holder: str) -> None:
    ours = {
        row[0]
        for row in session.matching(
            "SELECT claim_key, holder FROM kharvest_claim WHERE claim_key IN",
            sorted(set(keys)),
            f" ORDER BY claim_key{session.dialect.lock_rows}",
        )
        if row[1] == holder.encode()
    }
    session.changes_nothing = not ours
    session.run_matching("DELETE FROM kharvest_claim WHERE claim_key IN", ours)
