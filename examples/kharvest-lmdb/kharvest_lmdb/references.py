"""References by rank, with what finds them: their identity, their timeline, and the files that they name."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile

from kharvest.spi import (
    Conflict,
    Content,
    FileSummary,
    InvalidCursor,
    Order,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
    decode_cursor,
    encode_cursor,
)
from kharvest_lmdb.environment import Environment, Transaction
from kharvest_lmdb.rows import (
    RANK_BYTES,
    content_of,
    content_row,
    file_key,
    numbers_of,
    rank,
    reference_of,
    reference_row,
    timeline_key,
)

SEQUENCE = b"sequence"
COUNT_BYTES = 8
END = b"\xff" * RANK_BYTES
"""Behind every rank."""


class References:
    """The half of the store that holds references."""

    _environment: Environment

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self._environment.writing() as transaction:
            self._check(transaction, files, references)
            for reference in references:
                self._add(transaction, files, reference)

    def _check(
        self, transaction: Transaction, files: Mapping[Signature, Content], references: Sequence[Reference]
    ) -> None:
        contents = {content.sha256 for content in files.values()}
        absent = frozenset(one for one in contents if transaction.get("contents", one) is None)
        if absent:
            raise UnknownContent(sha256s=absent)
        for signature, content in files.items():
            row = transaction.get("files", file_key(signature))
            if row is not None and content_of(row)[0] != content:
                raise Conflict(signature, content_of(row)[0], content)
        named = {one.signature for one in references if not one.signature.is_removal} - files.keys()
        unknown = frozenset(one for one in named if transaction.get("files", file_key(one)) is None)
        if unknown:
            raise UnknownContent(signatures=unknown)

    def _add(self, transaction: Transaction, files: Mapping[Signature, Content], reference: Reference) -> None:
        row = reference_row(reference)
        sequence = int(transaction.get("meta", SEQUENCE) or 0)
        key = rank(reference.observed_at_ns, sequence)
        if not transaction.add("identities", hashlib.sha256(row).digest(), key):
            return
        transaction.put("meta", SEQUENCE, b"%d" % (sequence + 1))
        transaction.put("references", key, row)
        transaction.put("timelines", timeline_key(reference.timeline) + key, b"")
        if not reference.signature.is_removal:
            self._count(transaction, reference.signature, 1, files.get(reference.signature))

    def _count(
        self, transaction: Transaction, signature: Signature, change: int, content: Content | None = None
    ) -> None:
        """Count the references to a file, which is known while there is one."""
        row = transaction.get("files", file_key(signature))
        if row is not None:
            content, count = content_of(row)[0], int.from_bytes(content_of(row)[1])
        else:
            count = 0
        if count + change == 0 or content is None:
            transaction.delete("files", file_key(signature))
        else:
            counted = (count + change).to_bytes(COUNT_BYTES)
            transaction.put("files", file_key(signature), content_row(content, counted))

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self._environment.reading() as transaction:
            rows = {one: transaction.get("files", file_key(one)) for one in signatures}
        return {signature: content_of(row)[0] for signature, row in rows.items() if row is not None}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = {}
        with self._environment.reading() as transaction:
            for timeline in timelines:
                key = self._newest(transaction, timeline, None)
                row = transaction.get("references", key) if key else None
                if row is not None:
                    found[timeline] = reference_of(row)
        return found

    def _newest(self, transaction: Transaction, timeline: Timeline, until_ns: int | None) -> bytes | None:
        """The rank of the newest reference of a timeline before a time."""
        prefix = timeline_key(timeline)
        end = prefix + (END if until_ns is None else rank(until_ns, 0))
        for key, _nothing in transaction.descending("timelines", end):
            return key[len(prefix) :] if key.startswith(prefix) else None
        return None

    def references(self, query: Query) -> Page[Reference]:
        items: list[Reference] = []
        last = b""
        with self._environment.reading() as transaction:
            for key, reference in self._matching(transaction, query, _rank_of_cursor(query)):
                if len(items) == query.limit:
                    return Page(tuple(items), encode_cursor(query, *numbers_of(last)))
                items.append(reference)
                last = key
        return Page(tuple(items), None)

    def _matching(
        self, transaction: Transaction, query: Query, after: bytes | None = None
    ) -> Iterator[tuple[bytes, Reference]]:
        """The references that match, with their ranks, behind a rank, in the query's order."""
        for key, row in self._scan(transaction, query, after):
            reference = reference_of(row)
            if not _fits(reference, query):
                continue
            if not query.latest or self._newest(transaction, reference.timeline, query.until_ns) == key:
                yield key, reference

    def _scan(self, transaction: Transaction, query: Query, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """The rows between the query's times, behind a rank, in its order."""
        start = rank(query.since_ns or 0, 0)
        end = END if query.until_ns is None else rank(query.until_ns, 0)
        if query.order is Order.OLDEST_FIRST:
            rows = transaction.ascending("references", start if after is None else max(start, after + b"\0"))
            return takewhile(lambda row: row[0] < end, rows)
        rows = transaction.descending("references", end if after is None else min(end, after))
        return takewhile(lambda row: row[0] >= start, rows)

    def files(self, query: Query) -> Page[FileSummary]:
        after = _file_of_cursor(query)
        seen: dict[Signature, tuple[set[Pod], list[int]]] = {}
        with self._environment.reading() as transaction:
            for _key, reference in self._matching(transaction, query):
                signature = reference.signature
                if not signature.is_removal and (signature.path, signature.md5.hex()) > after:
                    pods, times = seen.setdefault(signature, (set(), []))
                    pods.add(reference.pod)
                    times.append(reference.observed_at_ns)
            chosen = sorted(seen)[: query.limit]
            rows = [transaction.get("files", file_key(one)) for one in chosen]
        items = tuple(
            FileSummary(
                signature, content_of(row)[0], len(seen[signature][0]), min(seen[signature][1]), max(seen[signature][1])
            )
            for signature, row in zip(chosen, rows, strict=True)
            if row is not None
        )
        more = len(seen) > query.limit
        return Page(items, encode_cursor(query, chosen[-1].path, chosen[-1].md5.hex()) if more else None)

    def forget(self, query: Query) -> int:
        doomed = []
        with self._environment.writing() as transaction:
            for key, reference in self._matching(transaction, query):
                doomed.append((key, reference))
                if len(doomed) == query.limit:
                    break
            for key, reference in doomed:
                transaction.delete("references", key)
                transaction.delete("identities", hashlib.sha256(reference_row(reference)).digest())
                transaction.delete("timelines", timeline_key(reference.timeline) + key)
                if not reference.signature.is_removal:
                    self._count(transaction, reference.signature, -1)
        return len(doomed)


def _fits(reference: Reference, query: Query) -> bool:
    path, pod = reference.signature.path, reference.pod
    return (
        (query.path is None or path == query.path)
        and (query.path_prefix is None or path.startswith(query.path_prefix))
        and (query.md5 is None or reference.signature.md5 == query.md5)
        and (query.namespace is None or pod.namespace == query.namespace)
        and (query.pod is None or pod.name == query.pod)
        and reference.metadata.matches(query.metadata)
    )


def _rank_of_cursor(query: Query) -> bytes | None:
    match decode_cursor(query):
        case None:
            return None
        case (int(at_ns), int(sequence)):
            return rank(at_ns, sequence)
        case _:
            raise InvalidCursor


def _file_of_cursor(query: Query) -> tuple[str, str]:
    match decode_cursor(query):
        case None:
            return ("", "")
        case (str(path), str(md5)):
            return (path, md5)
        case _:
            raise InvalidCursor
