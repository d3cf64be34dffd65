"""Strings of any length, and with any run of characters, come back whole: what stores lengths has room for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    Metadata,
    Pod,
    Query,
    Reference,
    Store,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._samples import TODAY, WEB, File, Sample
from kharvest_conformance._walks import walk
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put
from kharvest_conformance.suite._likeness import SEPARATORS

BODY = Sample(20)
FILE = File("/lengths", BODY)
EDGES = tuple(edge + step for edge in (16, 32, 64, 128, 192, 256, 1024, 2048, 4096) for step in (-1, 0, 1))
"""Around where a length takes a bit or a byte more, or a column or an index ends."""
TOTALS = tuple(edge + step for edge in (16_384, 32_768, 65_536, 131_072) for step in (-1, 0, 1))
"""The same for a whole set of pairs."""


def _long(length: int, first: str = "", wide: bool = False) -> str:
    """A string of so many bytes, whose end is its own."""
    tail = f"{length}"
    room = length - len(first) - len(tail)
    body = "\u00e9" * (room // 2) + "x" * (room % 2) if wide else "x" * room
    return first + body + tail


def _set_of(total: int) -> Metadata:
    """Pairs whose keys and values have so many bytes together."""
    value = "v" * MAX_METADATA_VALUE_BYTES
    pairs: dict[str, str] = {}
    left = total
    while left:
        key = f"{len(pairs):02}"
        pairs[key] = f"{value[: min(left - 2, MAX_METADATA_VALUE_BYTES) - 1]}{total % 10}" if left > 2 else ""
        left -= min(left, len(key) + len(pairs[key]))
    return Metadata(pairs)


@thorough
class LengthTests(Base):
    """Of strings as they come back."""

    @clause("values", "with their limits")
    def test_strings_of_any_length_come_back_whole(self, store: Store) -> None:
        files = [
            File(_long(length, "/", wide), BODY)
            for length in EDGES
            if length <= MAX_PATH_BYTES
            for wide in (False, True)
        ]
        pods = [Pod(_long(length), "pod") for length in EDGES if length <= MAX_NAMESPACE_BYTES]
        pods += [Pod("space", _long(length, "", length % 2 == 0)) for length in EDGES if length <= MAX_POD_BYTES]
        keys = [Metadata({_long(length): "value"}) for length in EDGES if length <= MAX_METADATA_KEY_BYTES]
        values = [Metadata({"key": _long(length)}) for length in EDGES if length <= MAX_METADATA_VALUE_BYTES]
        counts = [
            Metadata({f"{number:02}": "" for number in range(count)}) for count in range(1, MAX_METADATA_PAIRS + 1)
        ]
        _assert_whole(store, files, pods, [*keys, *values, *counts, *map(_set_of, TOTALS)])
        for file in files:
            assert {one.signature for one in walk(store, Query(path=file.path))} == {file.signature}
            if file.path.isascii():
                prefix = file.path[: -len(str(len(file.path)))]
                expected = {one.signature for one in files if one.path.startswith(prefix)}
                assert {one.signature for one in walk(store, Query(path_prefix=prefix))} == expected, len(prefix)

    @clause("values", "Strings are exact: nothing is trimmed, folded or")
    def test_runs_of_one_character_keep_their_length(self, store: Store) -> None:
        runs = [
            f"{before}{mark * count}{after}"
            for mark in SEPARATORS
            for count in (1, 2, 3)
            for before, after in (("a", "b"), ("", ""))
        ]
        files = [File(f"/run{run}", BODY) for run in runs]
        pods = [pod for run in runs for pod in (Pod(run, "pod"), Pod("space", run))]
        _assert_whole(
            store, files, pods, [pairs for run in runs for pairs in (Metadata({run: "v"}), Metadata({"k": run}))]
        )
        for mark in SEPARATORS:
            run = f"a{mark}{mark}b"
            assert {one.signature.path for one in walk(store, Query(path=f"/run{run}"))} == {f"/run{run}"}
            for pod in (Pod(run, "pod"), Pod("space", run)):
                assert {one.pod for one in walk(store, Query(namespace=pod.namespace, pod=pod.name))} == {pod}
            for metadata in (Metadata({run: "v"}), Metadata({"k": run})):
                assert {one.metadata for one in walk(store, Query(metadata=metadata))} == {metadata}


def _assert_whole(store: Store, files: Sequence[File], pods: Iterable[Pod], tags: Iterable[Metadata]) -> None:
    """References with all of these are there as they were recorded and appended, once each."""
    put(store, FILE)
    contents = {file.signature: file.content for file in (FILE, *files)}
    named = [*(file.seen(TODAY) for file in files), *(FILE.seen(TODAY, pod) for pod in pods)]
    tagged = [FILE.seen(TODAY, WEB, metadata) for metadata in tags]
    store.record(contents, named)
    store.record(contents, [*tagged, *tagged])
    expected = dict.fromkeys([*named, *tagged])
    appended = [
        Reference(one.signature, Pod("appended", "pod"), one.metadata, TODAY + at) for at, one in enumerate(tagged)
    ]
    answer = store.append({}, appended)
    for given, found in zip(appended, answer, strict=True):
        assert found == given, "append returns another reference than it was given"
    expected |= dict.fromkeys(appended)
    there = listing(store)
    left = set(there)
    for reference in expected:
        assert reference in left, f"{_sizes(reference)} came back otherwise"
    assert len(there) == len(expected)
    assert store.known(contents) == contents
    newest = {one.timeline: one for one in named}
    assert store.newest(newest) == newest


def _sizes(reference: Reference) -> str:
    """What somebody sees of a reference whose strings are too long to show."""
    pairs = sum(len(key.encode()) + len(value.encode()) for key, value in reference.metadata.items())
    path, pod = reference.signature.path.encode(), reference.pod
    return f"{path[:40]!r} of {len(path)} bytes in {pod} with {len(reference.metadata)} pairs of {pairs} bytes"
