"""What references point at: content that is there, however it went away or never came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from kharvest.spi import Content, Query, Reference, Signature, Store, UnknownContent
from kharvest_conformance._clauses import clause
from kharvest_conformance._samples import BLOCK, OTHER, FailingChunks, File, Sample, SourceFailed, removed
from kharvest_conformance._walks import walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing, put

HELD = File("/held", Sample(10, 1))
STORED = tuple(File(f"/stored/{number}", Sample(10, 2 + number)) for number in range(3))
NEVER = File("/never/put", Sample(20, 1))
BROKEN_OFF = File("/broken/off", Sample(2 * BLOCK, 2))
DISCARDED = File("/discarded", Sample(20, 3))
ELSEWHERE = File("/held", Sample(20, 4))
"""Another version of a file that is held."""
ABSENT = (NEVER, BROKEN_OFF, DISCARDED, ELSEWHERE)

Write = Callable[[Mapping[Signature, Content], Sequence[Reference]], object]


class PointingTests(Base):
    """Of `Store`, which has both halves."""

    @clause("Store", "raises `UnknownContent`: no reference ever points at content")
    def test_no_reference_ever_points_at_content_that_is_not_there(self, store: Store) -> None:
        harvest(store, [HELD], [HELD.seen(1)])
        put(store, *STORED, DISCARDED)
        store.discard([DISCARDED.content.sha256])
        with pytest.raises(SourceFailed):
            store.put(BROKEN_OFF.content, FailingChunks(BROKEN_OFF.sample, 1))
        writes: tuple[tuple[str, Write], ...] = (("record", store.record), ("append", store.append))
        for name, write in writes:
            for absent in ABSENT:
                for files in ([absent], [absent, *STORED], [*STORED, absent], [STORED[0], absent, HELD, STORED[1]]):
                    self._assert_refused(store, name, write, files, {absent.content.sha256})
            self._assert_refused(store, name, write, [*STORED, *ABSENT], {file.content.sha256 for file in ABSENT})
        for name, write in writes:
            for absent in ABSENT:  # once it is there, so may references be
                put(store, absent)
                write({absent.signature: absent.content}, [absent.seen(5, OTHER)])
            every = [HELD, *ABSENT]
            assert store.known([file.signature for file in every]) == {one.signature: one.content for one in every}, (
                name
            )
            assert store.forget(Query(pod=OTHER.name)) == len(ABSENT)
            store.discard([absent.content.sha256 for absent in ABSENT])
            for absent in ABSENT:  # and its path was known before
                self._assert_refused(store, name, write, [absent], {absent.content.sha256})

    def _assert_refused(
        self, store: Store, name: str, write: Write, files: Sequence[File], sha256s: set[bytes]
    ) -> None:
        what = f"{name} of {[file.path for file in files]}"
        references = [file.seen(number, OTHER) for number, file in enumerate(files, 2)]
        with pytest.raises(UnknownContent) as caught:
            write({file.signature: file.content for file in files}, [*references, removed(HELD.path, 9, OTHER)])
        assert caught.value.sha256s == sha256s, f"{what}: the error names other contents"
        assert listing(store) == [HELD.seen(1)], f"{what}: a part of a refused batch is there"
        named = {one.content.sha256 for one in walk_files(store, Query())}
        assert store.present(named).keys() == named, f"{what}: a file names a content that is not there"
