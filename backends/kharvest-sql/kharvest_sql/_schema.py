"""The tables, and their version.

All text is stored as UTF-8 bytes, so that no database's collation has a say in what is equal or comes first. What is
too long for a key of every database is found by the SHA-256 of it (`digest`).

A reference is one narrow row: numbers, in the place of the pod, path, signature and metadata that thousands of
references repeat. Its key is all of it, which makes recording it twice recording it once, and is at the same time the
total order that queries promise.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, event
from sqlalchemy.dialects.mysql import LONGBLOB, VARBINARY
from sqlalchemy.schema import DDL
from sqlalchemy.types import TypeEngine

SCHEMA_VERSION = 3
"""Counts changes of the tables. A store with a higher one is refused."""
NEVER_REPLACED = 2**63 - 1
"""`replaced_at_ns` of a timeline's newest reference."""
HEAD_BYTES = 255
"""As much of a path as is indexed as text: within the key limits of every database."""


def _bytes(length: int) -> TypeEngine[bytes]:
    return LargeBinary().with_variant(VARBINARY(length), "mysql", "mariadb")


def _long_bytes() -> TypeEngine[bytes]:
    return LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")


def _id() -> Column[int]:
    # SQLite counts only an INTEGER key, and reuses numbers unless told not to.
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Column("id", kind, primary_key=True, autoincrement=True)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger(), nullable=False, autoincrement=False)


def _text(name: str, length: int) -> Column[bytes]:
    return Column(name, _bytes(length), nullable=False)


def _digest() -> Column[bytes]:
    return Column("digest", _bytes(32), nullable=False, unique=True)


TABLES = MetaData()

STORE = Table(
    "kharvest_store",
    TABLES,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    _number("schema_version"),
    _text("written_by", 255),
    _text("pair", 16),
    _number("forgets"),
)
"""One row: which schema this is, who wrote it, which store it is of, and how often references were forgotten (see
`identities`)."""

CONTENT = Table(
    "kharvest_content",
    TABLES,
    Column("sha256", _bytes(32), primary_key=True),
    _text("md5", 16),
    _number("size"),
    _number("body_id"),
)
"""What is visible: a content is there exactly if it has a row here."""

UNPUBLISHED = Table(
    "kharvest_unpublished",
    TABLES,
    _id(),
    _number("touched_at"),
    sqlite_autoincrement=True,
)
"""Bodies that are being put or removed. A body that is neither here nor in `kharvest_content` does not exist."""

CHUNK = Table(
    "kharvest_chunk",
    TABLES,
    _number("body_id"),
    _number("position"),
    Column("data", _long_bytes(), nullable=False),
    PrimaryKeyConstraint("body_id", "position"),
)
"""The bytes of a body; `position` is where in the body a chunk starts."""

# Already-compressed files are common among what pods write: PostgreSQL need not try.
event.listen(
    CHUNK,
    "after_create",
    DDL("ALTER TABLE kharvest_chunk ALTER COLUMN data SET STORAGE EXTERNAL").execute_if(  # type: ignore[no-untyped-call]
        dialect="postgresql"
    ),
)

POD = Table(
    "kharvest_pod",
    TABLES,
    _id(),
    _digest(),
    _text("namespace", 63),
    _text("name", 253),
    _text("uid", 64),
    Index("kharvest_pod_namespace", "namespace"),
    Index("kharvest_pod_name", "name"),
    sqlite_autoincrement=True,
)

PATH = Table(
    "kharvest_path",
    TABLES,
    _id(),
    _digest(),
    _text("head", HEAD_BYTES),
    _text("path", 4096),
    Index("kharvest_path_head", "head"),
    sqlite_autoincrement=True,
)

SIGNATURE = Table(
    "kharvest_signature",
    TABLES,
    _id(),
    _digest(),
    _number("path_id"),
    _text("md5", 16),
    Column("sha256", _bytes(32)),
    Column("content_md5", _bytes(16)),
    Column("size", BigInteger()),
    Index("kharvest_signature_path", "path_id", "md5"),
    Index("kharvest_signature_md5", "md5"),
    sqlite_autoincrement=True,
)
"""Signatures that a reference names, and no others. A removal has no content."""

METADATA = Table(
    "kharvest_metadata",
    TABLES,
    _id(),
    _digest(),
    Column("pairs", _long_bytes(), nullable=False),
    sqlite_autoincrement=True,
)
"""Each distinct set of metadata once, its keys and values with a NUL between them. A pod has few sets in its life, and
replicas share them: so references are found by a pair through the sets that have it, and one with ten pairs costs no
more than one with two."""

METADATA_PAIR = Table(
    "kharvest_metadata_pair",
    TABLES,
    Column("digest", _bytes(32), nullable=False),
    _number("metadata_id"),
    PrimaryKeyConstraint("digest", "metadata_id"),
    Index("kharvest_metadata_pair_set", "metadata_id"),
    sqlite_with_rowid=False,
)

REFERENCE = Table(
    "kharvest_reference",
    TABLES,
    _number("observed_at_ns"),
    _number("pod_id"),
    _number("path_id"),
    _number("signature_id"),
    _number("metadata_id"),
    _number("replaced_at_ns"),
    PrimaryKeyConstraint("observed_at_ns", "pod_id", "path_id", "signature_id", "metadata_id"),
    Index("kharvest_reference_pod", "pod_id", "observed_at_ns", "path_id", "signature_id", "metadata_id"),
    Index("kharvest_reference_metadata", "metadata_id", "observed_at_ns", "pod_id", "path_id", "signature_id"),
    Index("kharvest_reference_signature", "signature_id", "observed_at_ns", "pod_id", "path_id", "metadata_id"),
    sqlite_with_rowid=False,
    # Every row changes once, when it is replaced: with room for that beside it, PostgreSQL leaves the indexes alone.
    postgresql_with={"fillfactor": 50},
)
"""The history. `replaced_at_ns` is the time of the next reference of the timeline: what a pod held at a time T are
its references with `observed_at_ns` < T <= `replaced_at_ns`."""

NEWEST = Table(
    "kharvest_newest",
    TABLES,
    _number("pod_id"),
    _number("path_id"),
    _number("observed_at_ns"),
    _number("signature_id"),
    _number("metadata_id"),
    PrimaryKeyConstraint("pod_id", "path_id"),
    Index("kharvest_newest_metadata", "metadata_id", "observed_at_ns", "pod_id", "path_id", "signature_id"),
    Index("kharvest_newest_path", "path_id", "observed_at_ns", "pod_id", "signature_id", "metadata_id"),
    sqlite_with_rowid=False,
)
"""The newest reference of each timeline: what pods hold now."""

CLAIM = Table(
    "kharvest_claim",
    TABLES,
    Column("claim_key", _bytes(64), primary_key=True),
    _text("holder", 512),
    _number("until_ns"),
)

CONTENTS = (STORE, CONTENT, UNPUBLISHED, CHUNK)
REFERENCES = (STORE, POD, PATH, SIGNATURE, METADATA, METADATA_PAIR, REFERENCE, NEWEST, CLAIM)
