"""Keys and rows: in order whatever the strings, within the limits, and back again as they were."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kharvest.records import (
    MAX_COMMIT_BYTES,
    MAX_COMMIT_ROWS,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    MemoryEngine,
)
from kharvest.records import _keys as record_keys
from kharvest.records import _rows as record_rows
from kharvest.records import (
    _shared as shared,
)
from kharvest.records import (
    _signatures as signatures,
)
from kharvest.records._recording import Batch
from kharvest.spi import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    MAX_PATH_BYTES,
    MAX_TIME_NS,
    REMOVED,
    Content,
    Metadata,
    Pod,
    Reference,
    Signature,
)

PIECE = signatures.PIECE_BYTES
EDGES = [1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE, MAX_PATH_BYTES]

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
paths = st.one_of(
    st.builds(lambda text: f"/{text}", texts),
    # Long ones share their first pieces, so that they are told apart, and put in order, by what comes behind.
    st.builds(
        lambda length, letter, text: "/" + letter * (length - 1) + text,
        st.sampled_from(EDGES[:-1]),
        st.sampled_from("ab"),
        texts,
    ),
)
digests = st.sampled_from([REMOVED, bytes(15) + b"\1", b"\1" * 16, b"\xff" * 16, b"\1" + bytes(15)])
some_signatures = st.sets(st.builds(Signature, paths, digests), max_size=12)


def stored(found: set[Signature]) -> MemoryEngine:
    """An engine with the rows of signatures."""
    engine = MemoryEngine()
    rows = {signatures.key_of(one): b"" for one in found}
    rows |= {way.key: b"" for one in found for way in signatures.ways_to(one.path)}
    assert engine.commit({}, rows, ())
    return engine


@pytest.mark.slow
@settings(max_examples=200)
@given(some_signatures, st.one_of(paths, st.just("")), st.one_of(st.none(), digests))
def test_signatures_are_walked_in_the_order_of_path_and_md5(
    found: set[Signature], path: str, md5: bytes | None
) -> None:
    with stored(found).view() as view:
        walked = [one.signature for one in signatures.walk(view, path.encode(), md5)]
    behind = (path, b"") if md5 is None else (path, md5 + b"\0")
    assert walked == sorted(one for one in found if (one.path, one.md5) >= behind)


@settings(max_examples=200)
@given(some_signatures, st.one_of(paths, st.just("/")))
def test_paths_with_a_prefix_are_found_once_each(found: set[Signature], prefix: str) -> None:
    with stored(found).view() as view:
        walked = [path.decode() for path in signatures.paths(view, prefix.encode())]
    assert walked == sorted({one.path for one in found if one.path.startswith(prefix)})


@given(st.dictionaries(texts, texts, max_size=5))
def test_metadata_come_back_as_they_went_in(pairs: dict[str, str]) -> None:
    metadata = Metadata(pairs)
    packed = record_rows.pack_metadata(metadata)
    metadata_id = record_keys.digest_of_bytes(packed)
    stored_rows = record_rows.of_metadata(metadata_id, packed)
    first = record_keys.metadata(metadata_id, 0)
    stored_rows[first] = shared.alive(stored_rows[first])
    assert record_rows.to_metadata(metadata_id, stored_rows) == metadata


def reference(number: int, path: str, metadata: Metadata) -> Reference:
    md5 = hashlib.md5(b"%d" % number, usedforsecurity=False).digest()
    return Reference(Signature(path, md5), Pod("n" * 63, f"{number:0253}"), metadata, MAX_TIME_NS - number)


def content(signature: Signature) -> Content:
    return Content(hashlib.sha256(signature.md5).digest(), signature.md5, 1)


def committed(references: list[Reference]) -> dict[bytes, bytes]:
    """What recording these in an empty engine puts, within the bounds of a commit."""
    batch = Batch({one.signature: content(one.signature) for one in references}, references)
    with MemoryEngine().view() as view:
        change = batch.record(view)
    assert len(change.expected) + len(change.puts) + len(change.deletes) <= MAX_COMMIT_ROWS
    assert (
        sum(map(len, change.expected)) + sum(len(key) + len(row) for key, row in change.puts.items())
        <= MAX_COMMIT_BYTES
    )
    return change.puts


@pytest.mark.parametrize("length", EDGES)
def test_the_rows_of_the_longest_strings_are_within_the_limits(length: int) -> None:
    pairs = {
        f"{number:0{MAX_METADATA_KEY_BYTES}}": "v" * MAX_METADATA_VALUE_BYTES for number in range(MAX_METADATA_PAIRS)
    }
    puts = committed([reference(1, "/" + "p" * (length - 1), Metadata(pairs))])
    assert max(map(len, puts)) <= MAX_KEY_BYTES
    assert max(map(len, puts.values())) <= MAX_VALUE_BYTES


@pytest.mark.slow
def test_the_largest_batches_are_within_the_bounds_of_a_commit() -> None:
    # As many items as there may be, each as long as the bytes of a batch allow ...
    room = MAX_BATCH_BYTES // MAX_BATCH - 63 - 253 - 16 - 32
    committed([reference(number, f"/{number:0{room - 1}}", Metadata()) for number in range(MAX_BATCH)])
    # ... as many ways to paths as there may be, which are the longest ...
    most = MAX_BATCH_BYTES // (MAX_PATH_BYTES + 63 + 253 + 48)
    committed([reference(number, f"/{number:0{MAX_PATH_BYTES - 1}}", Metadata()) for number in range(most)])
    # ... and as many pairs, in sets of which no two are equal.
    most = min(MAX_BATCH, MAX_BATCH_BYTES // (MAX_METADATA_PAIRS * 6 + 63 + 253 + 48))
    sets = [Metadata({f"{pair:02}": f"{number:04x}" for pair in range(MAX_METADATA_PAIRS)}) for number in range(most)]
    committed([reference(number, f"/{number % 10}", one) for number, one in enumerate(sets)])
