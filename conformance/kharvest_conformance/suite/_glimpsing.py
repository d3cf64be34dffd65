"""What one question has shown of a write, every later question shows, too: by each field, and also after the write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kharvest.spi import (
    Capability,
    Content,
    Metadata,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import File, Sample
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._collected import Numbered
from kharvest_conformance.suite._holding import THREAD_SECONDS, at_once, put

SIZE = 6
PEEKS = 2000
"""How often a reader looks for the beginning of a write, at the most: then it has come, or it never will."""
MEETING_SECONDS = 0.005
"""How long one call waits in its middle for another, which may have to wait for its end."""
MEETINGS = 4
PUTS = 16
AGAIN = 4
"""How often the questions that a store may remember an answer to are the first to see a write."""
ASKED_AFTERWARDS = 4
"""How many questions are asked again when a write has ended: the one that was asked all the while, and others."""
Question = Callable[[Store], int | None]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch, every field of which is its own."""

    number: int

    @property
    def body(self) -> Sample:
        """The bytes of all its files."""
        return Sample(40, 100 + self.number)

    @property
    def files(self) -> tuple[File, ...]:
        """Its files."""
        return tuple(File(f"/glimpse/{self.number}/{part}", self.body) for part in range(SIZE))

    @property
    def references(self) -> list[Reference]:
        """What it records."""
        pod, tag = Pod(f"space-{self.number}", f"pod-{self.number}"), Metadata({"batch": str(self.number)})
        return [file.seen(1000 + self.number, pod, tag) for file in self.files]

    def write(self, store: Store) -> None:
        """Put, and record or append."""
        write = store.append if self.number % 2 else store.record
        write({file.signature: file.content for file in self.files}, self.references)

    def questions(self) -> dict[str, Question]:
        """Every way to ask for it; each gives how much of it there is."""
        one, tag = self.references[0], Metadata({"batch": str(self.number)})
        folder, at = f"/glimpse/{self.number}/", one.observed_at_ns
        files, timelines = [file.signature for file in self.files], [other.timeline for other in self.references]
        queries = {
            "pod": Query(pod=one.pod.name),
            "metadata": Query(metadata=tag),
            "namespace": Query(namespace=one.pod.namespace),
            "folder": Query(path_prefix=folder),
            "MD5": Query(md5=self.body.content.md5),
            "times": Query(since_ns=at, until_ns=at + 1),
            "pod and metadata": Query(pod=one.pod.name, metadata=tag),
        }
        found: dict[str, Question] = {
            "known": lambda store: len(store.known(files)),
            "newest": lambda store: len(store.newest(timelines)),
            "one path": lambda store: _count(store.references(Query(path=one.signature.path)), SIZE),
        }
        for name, query in queries.items():
            found[name] = _references(query)
        for name in ("metadata", "folder", "MD5"):
            found[f"files by {name}"] = _files(queries[name])
        found["latest by metadata"] = _references(Query(latest=True, metadata=tag))
        return found


@thorough
class GlimpsingTests(Base):
    """Of calls that come in the middle of others, and go by what they see."""

    @clause("store", "what a batch wrote is in an answer whole")
    def test_what_one_question_shows_of_a_write_every_later_one_shows(self, store: Store) -> None:
        names = list(_Batch(0).questions())
        for number, first in enumerate([*names, *("known", "newest", "one path") * AGAIN]):
            batch = _Batch(number)
            store.put(batch.body.content, batch.body.chunks())
            order = [*names[names.index(first) :], *names[: names.index(first)]]
            _watch(store, batch, order, 0, SIZE, partial(batch.write, store))
            order = [order[0], *order[:0:-1]]
            _watch(store, batch, order, SIZE, 0, partial(store.forget, Query(namespace=f"space-{number}")))

    @clause("store", "Calls that come at once take effect in some order.")
    def test_what_was_looked_for_while_it_was_put_is_there_afterwards(self, store: Store) -> None:
        for number in range(PUTS):
            file = File("/glimpse", Sample(50, number))
            done = threading.Event()

            def write(file: File = file, done: threading.Event = done) -> None:
                try:
                    put(store, file)
                finally:
                    done.set()

            def look(question: Question, done: threading.Event = done) -> None:
                while not done.is_set():
                    question(store)

            questions = _about(file)
            at_once(write, *(partial(look, question) for question in questions.values()))
            for name, question in questions.items():
                assert question(store) == 1, f"{name} after a put beside which it was asked"
            store.discard([file.content.sha256])
            for name, question in questions.items():
                assert question(store) == 0, f"{name} after a discard"

    @clause("ReferenceStore.record", "signature is neither known nor in `files`; nothing was recorded.")
    def test_a_record_by_what_is_known_beside_its_forget_keeps_the_file_or_is_refused(
        self, place: Place, capabilities: frozenset[Capability]
    ) -> None:
        store = place.open()
        other = place.open() if Capability.SHARED in capabilities else store
        for number in range(MEETINGS):
            for how, meet in _WAYS.items():
                for write in ("record", "append"):
                    file = File(f"/known/{how}/{write}/{number}", Sample(60, number))
                    put(store, file)
                    store.record({file.signature: file.content}, [file.seen(1)])
                    recorder = other if number % 2 else store
                    recorder.known([file.signature])
                    recorded = meet(store, getattr(recorder, write), file)
                    _assert_whole(store, file, recorded, f"{write}, {how}")
                    store.forget(Query())


def _about(file: File) -> dict[str, Question]:
    """Every way to ask for a content."""
    digest = file.content.sha256

    def read(store: Store) -> int:
        try:
            return b"".join(store.read(digest)) == file.sample.data()
        except UnknownContent:
            return 0

    return {
        "present": lambda store: len(store.present([digest])),
        "contents": lambda store: sum(one.sha256 == digest for one in store.contents()),
        "read": read,
    }


def _references(query: Query) -> Question:
    return lambda store: _count(store.references(query))


def _files(query: Query) -> Question:
    return lambda store: _count(store.files(query))


def _count(page: Page[Any], each: int = 1) -> int | None:
    """How many items a page stands for; None if it is not the last one, and does not tell how many there are."""
    return None if page.next_cursor is not None else each * len(page.items)


def _watch(store: Store, batch: _Batch, order: list[str], before: int, after: int, write: Callable[[], object]) -> None:
    """Look with the first question until it shows the write, then with all others; and again when it has ended."""
    questions = batch.questions()
    ended = threading.Event()

    def run() -> None:
        try:
            write()
        finally:
            ended.set()

    def look() -> None:
        first = questions[order[0]]
        for _peek in range(PEEKS):
            over = ended.is_set()
            seen = first(store)
            assert seen in (before, after, None), f"{order[0]} shows {seen} of the {SIZE} of a batch"
            if over or seen == after:
                break
        else:
            return
        for name in order:
            seen = questions[name](store)
            assert seen in (after, None), f"{order[0]} shows {after} of a batch, and {name} shows {seen} after it"

    at_once(run, look)
    for name in order[:ASKED_AFTERWARDS]:
        seen = questions[name](store)
        assert seen in (after, None), f"{name} shows {seen} in place of {after} once the write has ended"


Write = Callable[[dict[Signature, Content], Sequence[Reference]], object]


class _Watched(Numbered[Reference]):
    """A sequence that calls `before` when it is iterated for the first time."""

    def __init__(self, items: Sequence[Reference], before: Callable[[], None]) -> None:
        super().__init__(items)
        self._before = [before]

    def __iter__(self) -> Iterator[Reference]:
        for before in self._before[:1]:
            self._before.clear()
            before()
        return super().__iter__()


def _refused(write: Write, references: Sequence[Reference]) -> bool:
    try:
        write({}, references)
    except UnknownContent:
        return True
    return False


def _at_once(store: Store, write: Write, file: File) -> bool:
    _count, refused = at_once(lambda: store.forget(Query(path=file.path)), lambda: _refused(write, [file.seen(2)]))
    return not refused


def _when_it_is_gone(store: Store, write: Write, file: File) -> bool:
    """Record as soon as the reference is seen to be gone: `forget` may not have returned."""

    def record() -> bool:
        for _peek in range(PEEKS):
            if not walk(store, Query(path=file.path)):
                break
        return _refused(write, [file.seen(2)])

    _count, refused = at_once(lambda: store.forget(Query(path=file.path)), record)
    return not refused


def _while_it_is_drawn(store: Store, write: Write, file: File) -> bool:
    """Forget while the store draws the references of its batch: it may have looked for what is known already."""
    drawn, forgotten = threading.Event(), threading.Event()

    def let_in() -> None:
        drawn.set()
        forgotten.wait(MEETING_SECONDS)

    def forget() -> bool:
        drawn.wait(THREAD_SECONDS)
        store.forget(Query(path=file.path, until_ns=2))
        forgotten.set()
        return True

    def record() -> bool:
        try:
            return _refused(write, _Watched([file.seen(2)], let_in))
        finally:
            drawn.set()

    _forgot, refused = at_once(forget, record)
    return not refused


_WAYS: dict[str, Callable[[Store, Write, File], bool]] = {
    "at once": _at_once,
    "when it is seen to be gone": _when_it_is_gone,
    "while it is drawn": _while_it_is_drawn,
}
"""How the two meet; each gives whether the record was taken."""


def _assert_whole(store: Store, file: File, recorded: bool, how: str) -> None:
    """A reference is there with its file, or neither is."""
    there = walk(store, Query(path=file.path))
    known = store.known([file.signature])
    assert known == ({file.signature: file.content} if there else {}), f"{how}: {len(there)} references, known {known}"
    listed = {one.signature: one.content for one in walk_files(store, Query(path=file.path))}
    assert listed == known, f"{how}: files are not those that are known"
    if not recorded:
        assert all(one.observed_at_ns < 2 for one in there), f"{how}: it was refused, and is there"
