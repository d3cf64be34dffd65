"""The numbers that stand for pods, paths, signatures and metadata: looking them up, and adding what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from sqlalchemy import Table

from kharvest.spi import Content, Metadata, Pod, Signature
from kharvest_sql._database import Session
from kharvest_sql._remembered import FileKey, Recent, Remembered, StoredSignature
from kharvest_sql._schema import HEAD_BYTES, METADATA, METADATA_PAIR, PATH, POD, SIGNATURE

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_OBJECT_BYTES = 250
"""About what a small object and its place in a dictionary take."""


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
        return self._numbers(_PODS, self._remembered.pods, pods)

    def paths(self, paths: Iterable[str]) -> dict[str, int]:
        """The numbers of those paths that have one."""
        return self._numbers(_PATHS, self._remembered.paths, paths)

    def metadata(self, sets: Iterable[Metadata]) -> dict[Metadata, int]:
        """The numbers of those sets of metadata that have one."""
        return self._numbers(_SETS, self._remembered.metadata, sets)

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
        return self._added(_PODS, self._remembered.pods, pods)

    def add_metadata(self, sets: Collection[Metadata]) -> dict[Metadata, int]:
        """The numbers of all these sets of metadata."""
        known = self.metadata(sets)
        numbers = self._added(_SETS, self._remembered.metadata, sets, known)
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
        path_ids = self._added(_PATHS, self._remembered.paths, {signature.path for signature in contents})
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
        sql = "SELECT o.id, o.namespace, o.name, o.uid FROM {rows} {then} kharvest_pod o WHERE o.id = given.id"
        return self._by_id(self._remembered.pods_by_id, numbers, sql, lambda *names: Pod(*map(bytes.decode, names)))

    def metadata_by_id(self, numbers: Iterable[int]) -> dict[int, Metadata]:
        sql = "SELECT m.id, m.pairs FROM {rows} {then} kharvest_metadata m WHERE m.id = given.id"
        return self._by_id(self._remembered.metadata_by_id, numbers, sql, _unpacked)

    def signatures_by_id(self, numbers: Iterable[int]) -> dict[int, Signature]:
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

    def _numbers(self, kind: _Kind[K], recent: Recent[K, int], wanted: Iterable[K]) -> dict[K, int]:
        found: dict[K, int] = {}
        missing: dict[bytes, K] = {}
        for one in wanted:
            number = recent.get(one)
            if number is None:
                missing[kind.digest(one)] = one
            else:
                found[one] = number
        sql = f"SELECT digest, id FROM {kind.table.name} WHERE digest IN"  # noqa: S608  names from here only
        for digest, number in self._session.matching(sql, missing):
            one = missing[digest]
            found[one] = number
            self._remember(recent, one, number, kind.weight(one))
        return found

    def _added(
        self, kind: _Kind[K], recent: Recent[K, int], wanted: Iterable[K], known: Mapping[K, int] | None = None
    ) -> dict[K, int]:
        wanted = list(wanted)
        found = dict(self._numbers(kind, recent, wanted) if known is None else known)
        new = {kind.digest(one): one for one in wanted if one not in found}
        if new:
            # In one order for all writers, so that two who add the same rows wait for each other in a line.
            rows = sorted((digest, *kind.row(one)) for digest, one in new.items())
            for digest, number in self._session.insert_numbered(kind.table, kind.columns, rows):
                one = new.pop(digest)
                found[one] = number
                self._remember(recent, one, number, kind.weight(one))
            found |= self._numbers(kind, recent, new.values())
        return found

    def _remember(self, recent: Recent[Any, Any], key: object, value: object, weight: int) -> None:
        self._found.append(lambda: recent.put(key, value, weight))


def digest_of_path(path: str) -> bytes:
    return sha256(path.encode()).digest()


def digest_of_signature(signature: Signature) -> bytes:
    return sha256(signature.md5 + signature.path.encode()).digest()


def digest_of_pair(key: str, value: str) -> bytes:
    """What the sets that have a pair are found by."""
    return sha256(f"{key}\0{value}".encode()).digest()


def _packed(metadata: Metadata) -> bytes:
    """Keys and values, one behind the other: no string has the NUL between them, and none grows by being quoted."""
    return "\0".join(text for pair in metadata.items() for text in pair).encode()


def _unpacked(pairs: bytes) -> Metadata:
    texts = pairs.decode().split("\0") if pairs else []
    return Metadata(dict(zip(texts[::2], texts[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class _Kind(Generic[K]):
    """What has numbers in a table.

    Attributes:
        digest: what it is found by.
        columns: what its row has besides number and digest, by `row`.
        weight: about how many bytes it and its number take in memory.
    """

    table: Table
    digest: Callable[[K], bytes]
    columns: str
    row: Callable[[K], tuple[bytes, ...]]
    weight: Callable[[K], int]


_PODS: _Kind[Pod] = _Kind(
    POD,
    lambda pod: sha256(f"{pod.namespace}\0{pod.name}\0{pod.uid}".encode()).digest(),
    "namespace name uid",
    lambda pod: (pod.namespace.encode(), pod.name.encode(), pod.uid.encode()),
    lambda pod: 2 * _OBJECT_BYTES + len(pod.namespace) + len(pod.name) + len(pod.uid),
)
_PATHS: _Kind[str] = _Kind(
    PATH,
    digest_of_path,
    "head path",
    lambda path: ((encoded := path.encode())[:HEAD_BYTES], encoded),
    lambda path: _OBJECT_BYTES + 2 * len(path),
)
_SETS: _Kind[Metadata] = _Kind(
    METADATA,
    lambda metadata: sha256(_packed(metadata)).digest(),
    "pairs",
    lambda metadata: (_packed(metadata),),
    lambda metadata: (
        _OBJECT_BYTES + sum(2 * _OBJECT_BYTES + len(name) + len(value) for name, value in metadata.items())
    ),
)
