"""The numbers that stand for pods, paths, signatures and metadata, and a bounded memory of them.

A remembered number must not outlive its row, which another process may remove. Rows are removed by `forget` only, and
numbers are never given twice; so `kharvest_store.forgets` counts those transactions that did, every transaction reads
it first, and what is remembered is for one count only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Table

from kharvest.spi import Content, Metadata, Pod, Signature
from kharvest_sql._database import Session
from kharvest_sql._recent import Recent
from kharvest_sql._schema import HEAD_BYTES, METADATA, METADATA_PAIR, PATH, POD, SIGNATURE

K = TypeVar("K", Pod, str, Metadata)
V = TypeVar("V", Pod, Metadata, Signature)

_BYTES_EACH = 8 * 2**20
"""What each of the memories may take: some 30,000 pods, paths or signatures."""
_OBJECT_BYTES = 250
"""About what a small object and its place in a dictionary take."""


FileKey: TypeAlias = tuple[str, bytes]
"""A signature's path and MD5, where it is looked up for every reference: a tuple's hash is faster than a value's."""


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """A signature's row. A removal has no content."""

    id: int
    path_id: int
    content: Content | None


class Remembered:
    """The memory of one count of `forgets`. Threads share it: see `Recent`."""

    __slots__ = (
        "forgets",
        "metadata",
        "metadata_by_id",
        "paths",
        "pods",
        "pods_by_id",
        "signatures",
        "signatures_by_id",
    )

    def __init__(self, forgets: int) -> None:
        self.forgets = forgets
        self.pods = Recent[Pod, int](_BYTES_EACH)
        self.pods_by_id = Recent[int, Pod](_BYTES_EACH)
        self.paths = Recent[str, int](_BYTES_EACH)
        self.metadata = Recent[Metadata, int](_BYTES_EACH)
        self.metadata_by_id = Recent[int, Metadata](_BYTES_EACH)
        self.signatures = Recent[FileKey, StoredSignature](_BYTES_EACH)
        self.signatures_by_id = Recent[int, Signature](_BYTES_EACH)

    def stored(self, signatures: Iterable[Signature]) -> dict[FileKey, StoredSignature]:
        """The rows of those signatures that are remembered."""
        keys = ((one.path, one.md5) for one in signatures)
        return {key: row for key in keys if (row := self.signatures.get(key)) is not None}


class Memory:
    """Hands out what is remembered, as of what a transaction sees."""

    def __init__(self) -> None:
        self._current = Remembered(-1)

    @property
    def current(self) -> Remembered:
        """What is remembered now, of what transactions see that begin later unless something is forgotten."""
        return self._current

    def of(self, session: Session) -> Remembered:
        """What is remembered of the rows that this transaction sees."""
        forgets = session.first("SELECT forgets FROM kharvest_store")[0]
        current = self._current
        if forgets > current.forgets:
            current = self._current = Remembered(forgets)
        # A transaction that began before another's forget gets an empty memory, for itself.
        return current if forgets == current.forgets else Remembered(forgets)


class Identities:
    """Looks numbers up, within one transaction, and adds what is missing.

    What it finds it remembers for others only when `keep` is called: after the transaction was committed.
    """

    def __init__(self, session: Session, remembered: Remembered) -> None:
        self._session = session
        self._remembered = remembered
        self._found: list[Callable[[], None]] = []

    def keep(self) -> None:
        """Remember what was found and added, for later transactions."""
        for remember in self._found:
            remember()
        self._found.clear()

    def pods(self, pods: Iterable[Pod]) -> dict[Pod, int]:
        """The numbers of those pods that have one."""
        return self._numbers(POD, self._remembered.pods, pods, digest_of_pod)

    def paths(self, paths: Iterable[str]) -> dict[str, int]:
        """The numbers of those paths that have one."""
        return self._numbers(PATH, self._remembered.paths, paths, digest_of_path)

    def metadata(self, sets: Iterable[Metadata]) -> dict[Metadata, int]:
        """The numbers of those sets of metadata that have one."""
        return self._numbers(METADATA, self._remembered.metadata, sets, digest_of_metadata)

    def signatures(self, signatures: Iterable[Signature]) -> dict[FileKey, StoredSignature]:
        """The rows of those signatures that a reference names, or named a moment later than this transaction sees."""
        wanted = list(signatures)
        found = self._remembered.stored(wanted)
        return found | self.stored(one for one in wanted if (one.path, one.md5) not in found)

    def is_of(self, remembered: Remembered) -> bool:
        """Whether what was remembered before this transaction is what it sees."""
        return self._remembered is remembered

    def stored(self, signatures: Iterable[Signature]) -> dict[FileKey, StoredSignature]:
        """The rows of those signatures that a reference names, as this transaction sees them."""
        found: dict[FileKey, StoredSignature] = {}
        missing = {digest_of_signature(one): (one.path, one.md5) for one in signatures}
        recent = self._remembered.signatures
        columns = "digest, id, path_id, sha256, content_md5, size"
        sql = f"SELECT {columns} FROM kharvest_signature WHERE digest IN"  # noqa: S608  names from here only
        for digest, number, path_id, content_sha256, content_md5, size in self._session.matching(sql, missing):
            key = missing[digest]
            content = None if content_sha256 is None else Content(content_sha256, content_md5, size)
            stored = found[key] = StoredSignature(number, path_id, content)
            self._remember(recent, key, stored, 2 * len(key[0]) + 2 * _OBJECT_BYTES)
        return found

    def add_pods(self, pods: Iterable[Pod]) -> dict[Pod, int]:
        """The numbers of all these pods."""

        def row(pod: Pod, digest: bytes) -> tuple[Any, ...]:
            return digest, pod.namespace.encode(), pod.name.encode(), pod.uid.encode()

        return self._added(POD, "namespace name uid", self._remembered.pods, pods, digest_of_pod, row)

    def add_paths(self, paths: Iterable[str]) -> dict[str, int]:
        """The numbers of all these paths."""

        def row(path: str, digest: bytes) -> tuple[Any, ...]:
            encoded = path.encode()
            return digest, encoded[:HEAD_BYTES], encoded

        return self._added(PATH, "head path", self._remembered.paths, paths, digest_of_path, row)

    def add_metadata(self, sets: Collection[Metadata]) -> dict[Metadata, int]:
        """The numbers of all these sets of metadata."""

        def row(metadata: Metadata, digest: bytes) -> tuple[Any, ...]:
            return digest, _packed(metadata)

        known = self.metadata(sets)
        numbers = self._added(METADATA, "pairs", self._remembered.metadata, sets, digest_of_metadata, row, known)
        pairs = [
            (digest_of_pair(key, value), number)
            for metadata, number in numbers.items()
            if metadata not in known
            for key, value in metadata.items()
        ]
        self._session.insert(METADATA_PAIR, "digest metadata_id", "", sorted(pairs))
        return numbers

    def add_signatures(self, files: Iterable[tuple[Signature, Content | None]]) -> dict[FileKey, StoredSignature]:
        """The rows of these signatures, none of which had one."""
        contents = dict(files)
        path_ids = self.add_paths({signature.path for signature in contents})
        rows = [
            (
                digest_of_signature(signature),
                path_ids[signature.path],
                signature.md5,
                *((None, None, None) if content is None else (content.sha256, content.md5, content.size)),
            )
            for signature, content in contents.items()
        ]
        self._session.insert(SIGNATURE, "digest", "path_id md5 sha256 content_md5 size", sorted(rows))
        return self.signatures(contents)

    def pods_by_id(self, numbers: Iterable[int]) -> dict[int, Pod]:
        """The pods that have these numbers."""
        sql = "SELECT o.id, o.namespace, o.name, o.uid FROM {rows} {then} kharvest_pod o WHERE o.id = given.id"
        return self._by_id(self._remembered.pods_by_id, numbers, sql, lambda *names: Pod(*map(bytes.decode, names)))

    def metadata_by_id(self, numbers: Iterable[int]) -> dict[int, Metadata]:
        """The sets of metadata that have these numbers."""
        sql = "SELECT m.id, m.pairs FROM {rows} {then} kharvest_metadata m WHERE m.id = given.id"
        return self._by_id(self._remembered.metadata_by_id, numbers, sql, _unpacked)

    def signatures_by_id(self, numbers: Iterable[int]) -> dict[int, Signature]:
        """The signatures that have these numbers."""
        sql = (
            "SELECT s.id, p.path, s.md5 FROM {rows} {then} kharvest_signature s {then} kharvest_path p "
            "WHERE s.id = given.id AND p.id = s.path_id"
        )
        return self._by_id(
            self._remembered.signatures_by_id, numbers, sql, lambda path, md5: Signature(path.decode(), md5)
        )

    def _by_id(
        self, recent: Recent[int, V], numbers: Iterable[int], sql: str, value_of: Callable[..., V]
    ) -> dict[int, V]:
        found: dict[int, V] = {}
        missing: list[tuple[int]] = []
        for number in numbers:
            value = recent.get(number)
            if value is None:
                missing.append((number,))
            else:
                found[number] = value
        for number, *columns in self._session.with_rows(sql, "id", missing):
            value = found[number] = value_of(*columns)
            self._remember(recent, number, value, 3 * sum(map(len, columns)) + 2 * _OBJECT_BYTES)
        return found

    def _numbers(
        self, table: Table, recent: Recent[K, int], wanted: Iterable[K], digest_of: Callable[[K], bytes]
    ) -> dict[K, int]:
        found: dict[K, int] = {}
        missing: dict[bytes, K] = {}
        for one in wanted:
            number = recent.get(one)
            if number is None:
                missing[digest_of(one)] = one
            else:
                found[one] = number
        sql = f"SELECT digest, id FROM {table.name} WHERE digest IN"  # noqa: S608  names from here only
        for digest, number in self._session.matching(sql, missing):
            one = missing[digest]
            found[one] = number
            self._remember(recent, one, number, _weight(one))
        return found

    def _added(
        self,
        table: Table,
        columns: str,
        recent: Recent[K, int],
        wanted: Iterable[K],
        digest_of: Callable[[K], bytes],
        row: Callable[[K, bytes], tuple[Any, ...]],
        known: Mapping[K, int] | None = None,
    ) -> dict[K, int]:
        wanted = list(wanted)
        found = dict(self._numbers(table, recent, wanted, digest_of) if known is None else known)
        new = {digest_of(one): one for one in wanted if one not in found}
        if new:
            # In one order for all writers, so that two who add the same rows wait for each other in a line.
            rows = sorted(row(one, digest) for digest, one in new.items())
            for digest, number in self._session.insert_numbered(table, columns, rows):
                one = new.pop(digest)
                found[one] = number
                self._remember(recent, one, number, _weight(one))
            found |= self._numbers(table, recent, new.values(), digest_of)
        return found

    def _remember(self, recent: Recent[Any, Any], key: object, value: object, weight: int) -> None:
        self._found.append(lambda: recent.put(key, value, weight))


def digest_of_pod(pod: Pod) -> bytes:
    """What a pod is found by."""
    return sha256(f"{pod.namespace}\0{pod.name}\0{pod.uid}".encode()).digest()


def digest_of_path(path: str) -> bytes:
    """What a path is found by."""
    return sha256(path.encode()).digest()


def digest_of_signature(signature: Signature) -> bytes:
    """What a signature is found by."""
    return sha256(signature.md5 + signature.path.encode()).digest()


def digest_of_metadata(metadata: Metadata) -> bytes:
    """What a set of metadata is found by."""
    return sha256(_packed(metadata)).digest()


def digest_of_pair(key: str, value: str) -> bytes:
    """What the sets that have a pair are found by."""
    return sha256(f"{key}\0{value}".encode()).digest()


def _packed(metadata: Metadata) -> bytes:
    """Keys and values, one behind the other: no string has the NUL between them, and none grows by being quoted."""
    return "\0".join(text for pair in metadata.items() for text in pair).encode()


def _unpacked(pairs: bytes) -> Metadata:
    texts = pairs.decode().split("\0") if pairs else []
    return Metadata(dict(zip(texts[::2], texts[1::2], strict=True)))


def _weight(key: Pod | str | Metadata) -> int:
    match key:
        case Pod(namespace, name, uid):
            return _OBJECT_BYTES * 2 + len(namespace) + len(name) + len(uid)
        case str():
            return _OBJECT_BYTES + 2 * len(key)
        case _:
            return _OBJECT_BYTES + sum(2 * _OBJECT_BYTES + len(name) + len(value) for name, value in key.items())
