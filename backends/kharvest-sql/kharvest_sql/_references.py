"""The references half: record, look up, query, forget, claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack

from kharvest.spi import (
    Capability,
    Conflict,
    Content,
    FileSummary,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
)
from kharvest.spi.recording import after_newest, require_present
from kharvest_sql import _forgetting as forgetting
from kharvest_sql import _pages as pages
from kharvest_sql import _summaries as summaries
from kharvest_sql import _timelines as timelines
from kharvest_sql._database import Database, Session
from kharvest_sql._identities import Identities
from kharvest_sql._remembered import FileKey, Memory, StoredSignature
from kharvest_sql._schema import CLAIM
from kharvest_sql._timelines import TimelineId
from kharvest_sql._timelines import newest as newest_rows

Present = Callable[[Collection[bytes]], Mapping[bytes, Content]]


class SqlReferences:
    """References and claims in a database.

    `present` is the contents half's; without one, this half stands alone and believes what `files` says. `opened` is
    what `close` has to close.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, database: Database, opened: ExitStack, present: Present | None = None) -> None:
        self._references_database = database
        self._opened = opened
        self._present = present
        self._memory = Memory()

    def close(self) -> None:
        self._opened.close()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self._write(files, references, append=False)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return self._write(files, references, append=True)

    def _write(
        self, files: Mapping[Signature, Content], references: Sequence[Reference], *, append: bool
    ) -> list[Reference]:
        # Before the transaction, not within: contents may be in another file. Who discards has seen to it that nobody
        # is about to refer to them.
        require_present(files, self._present)

        def operation(session: Session) -> tuple[Identities, list[Reference]]:
            if session.dialect.lock_store_shared:
                session.ahead(session.dialect.lock_store_shared)
            identities = self._identities(session)
            return identities, _record(session, identities, files, references, append=append)

        identities, recorded = self._references_database.write(operation)
        identities.keep()
        return recorded

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        # Before the transaction: what is remembered while it runs may be of batches that it does not see.
        remembered = self._memory.current
        before = remembered.stored(signatures)
        with self._references_database.read() as session:
            identities = self._identities(session)
            stored = before if identities.is_of(remembered) else {}
            stored |= identities.stored(one for one in signatures if (one.path, one.md5) not in stored)
            identities.keep()
        found = ((signature, stored.get((signature.path, signature.md5))) for signature in signatures)
        return {signature: row.content for signature, row in found if row is not None and row.content is not None}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self._references_database.read() as session:
            identities = self._identities(session)
            pods = identities.pods({timeline.pod for timeline in timelines})
            paths = identities.paths({timeline.path for timeline in timelines})
            by_id = {
                (pods[timeline.pod], paths[timeline.path]): timeline
                for timeline in timelines
                if timeline.pod in pods and timeline.path in paths
            }
            rows = newest_rows(session, by_id).values()
            signatures = identities.signatures_by_id({row[3] for row in rows})
            sets = identities.metadata_by_id({row[4] for row in rows})
            identities.keep()
        return {
            (timeline := by_id[row[:2]]): Reference(signatures[row[3]], timeline.pod, sets[row[4]], row[2])
            for row in rows
        }

    def references(self, query: Query) -> Page[Reference]:
        """See `ReferenceStore.references`. A page may be short where much has to be passed over to fill it."""
        with self._references_database.read() as session:
            identities = self._identities(session)
            page = pages.page(session, identities, query)
            identities.keep()
        return page

    def files(self, query: Query) -> Page[FileSummary]:
        """See `ReferenceStore.files`. A page may be short where much has to be passed over to fill it."""
        with self._references_database.read() as session:
            return summaries.page(session, self._identities(session), query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        # A power cut that loses a claim ends its holder's upload too.
        return self._references_database.write(
            lambda session: _claim(session, keys, holder, now_ns, until_ns), durable=False
        )

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self._references_database.write(lambda session: _release(session, keys, holder), durable=False)

    def now_ns(self) -> int:
        """See `ReferenceStore.now_ns`: the server's clock; for a file, this machine's."""
        with self._references_database.glance() as session:
            clock = session.dialect.now_ns
            return time.time_ns() if clock is None else int(session.first(f"SELECT {clock}")[0])

    def forget(self, query: Query) -> int:

        def operation(session: Session) -> int:
            if session.dialect.lock_store_alone:
                session.ahead(session.dialect.lock_store_alone)
            return forgetting.forget(session, self._identities(session), query)

        return self._references_database.remove(operation)

    def _identities(self, session: Session) -> Identities:
        return Identities(session, self._memory.of(session))


def _record(
    session: Session,
    identities: Identities,
    files: Mapping[Signature, Content],
    references: Sequence[Reference],
    *,
    append: bool,
) -> list[Reference]:
    """Record references at their times, or, to `append`, as the newest of their timelines; those that were recorded."""
    # This runs for every reference that is announced. Those of one pod share its objects, and looking up by an
    # object's identity, or a tuple, is several times faster than by a value that computes its hash.
    named = {(one.signature.path, one.signature.md5): one.signature for one in references}
    pod_objects = {id(one.pod): one.pod for one in references}
    metadata_objects = {id(one.metadata): one.metadata for one in references}
    stored = identities.signatures([*named.values(), *files])
    _check(stored, files)
    new = _new_files(stored, named, files)
    pods = identities.add_pods(pod_objects.values())
    metadata = identities.add_metadata(metadata_objects.values())
    if new:
        stored |= identities.add_signatures(new)
        _check(stored, files)  # somebody else may have added them just now, with another content
    if session.dialect.lock_rows:
        # In one order for all: who changes the same timelines waits, and finds what is newest when it goes on.
        sql = "SELECT p.id FROM {rows} {then} kharvest_pod p WHERE p.id = given.id ORDER BY p.id"
        session.with_rows(sql + session.dialect.lock_rows, "id", [(number,) for number in sorted(pods.values())])
    pod_ids = {key: pods[pod] for key, pod in pod_objects.items()}
    metadata_ids = {key: metadata[one] for key, one in metadata_objects.items()}
    of_timelines: list[TimelineId] = []
    identified: list[tuple[int, int]] = []
    for one in references:
        file = stored[one.signature.path, one.signature.md5]
        of_timelines.append((pod_ids[id(one.pod)], file.path_id))
        identified.append((file.id, metadata_ids[id(one.metadata)]))
    newest = timelines.newest(session, set(of_timelines))
    newest_ns = {timeline: row[2] for timeline, row in newest.items()}
    recorded = after_newest(references, of_timelines, newest_ns) if append else list(references)
    rows = zip(of_timelines, recorded, identified, strict=True)
    timelines.add(session, [(*timeline, one.observed_at_ns, *numbers) for timeline, one, numbers in rows], newest)
    return recorded


def _new_files(
    stored: Mapping[FileKey, StoredSignature], named: Mapping[FileKey, Signature], files: Mapping[Signature, Content]
) -> list[tuple[Signature, Content | None]]:
    """The signatures to add, and their contents."""
    new = [signature for key, signature in named.items() if key not in stored]
    unknown = frozenset(signature for signature in new if not signature.is_removal and signature not in files)
    if unknown:
        raise UnknownContent(signatures=unknown)
    return [(signature, files.get(signature)) for signature in new]


def _check(stored: Mapping[FileKey, StoredSignature], files: Mapping[Signature, Content]) -> None:
    for signature, content in files.items():
        known = stored.get((signature.path, signature.md5))
        if known is not None and known.content is not None and known.content != content:
            raise Conflict(signature, known.content, content)


def _claim(session: Session, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
    name = holder.encode()
    rows = session.claim_rows(CLAIM, "claim_key", "holder until_ns", [(key, name, until_ns) for key in set(keys)])
    held = {key: (owner, end_ns) for key, owner, end_ns in rows if owner == name or end_ns <= now_ns}
    changed = [(key, name, until_ns) for key, lease in sorted(held.items()) if lease != (name, until_ns)]
    session.upsert(CLAIM, "claim_key", "holder until_ns", changed)
    session.changes_nothing = not held
    return set(held)


def _release(session: Session, keys: Collection[bytes], holder: str) -> None:
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
