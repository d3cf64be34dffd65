"""SHARED: what one handle writes is what each other handle reads, and goes by when it writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import pytest

from kharvest.spi import (
    NO_METADATA,
    Capability,
    Conflict,
    Content,
    FileSummary,
    Order,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._questions import QUESTIONS
from kharvest_conformance._samples import COLLIDING, WEB, File, Sample, content_of, removed
from kharvest_conformance._tasks import Ask, Claim
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, has_data, put
from kharvest_conformance.suite._own_thread import OwnThread

METHODS = ("present", "contents", "read", "known", "newest", "references", "files")
"""A question for each method."""
SEEN = "each sees what the others have written"
Asking = Callable[[str, File], object]


@dataclass(slots=True)
class _Life:
    """What becomes of a file through one handle, a call at a time, and what every handle must say of it then."""

    file: File
    stored: bool = False
    references: list[Reference] = field(default_factory=list)

    def steps(self, store: Store) -> Iterator[str]:
        """Make each kind of write in turn; gives its name when it has returned."""
        file = self.file
        yield "nothing"
        put(store, file)
        self.stored = True
        yield "put"
        store.record({file.signature: file.content}, [file.seen(10)])
        self.references = [file.seen(10)]
        yield "record"
        self.references += store.append({}, [file.seen(5)])
        yield "append"
        store.record({}, [file.seen(7), removed(file.path, 20)])
        self.references = [file.seen(7), *self.references, removed(file.path, 20)]
        yield "record of a removal"
        assert store.forget(Query(path=file.path, order=Order.NEWEST_FIRST, limit=1)) == 1
        self.references.pop()
        yield "forget of the newest"
        assert store.forget(Query(path=file.path)) == 3
        self.references = []
        yield "forget of the rest"
        store.discard([file.content.sha256])
        self.stored = False
        yield "discard"

    def answer(self, question: str) -> object:
        """What there is to say."""
        file, times = self.file, [one.observed_at_ns for one in self.references]
        alive = [one for one in self.references if not one.signature.is_removal]
        alive_times = [one.observed_at_ns for one in alive]
        match question:
            case "present":
                return file.content if self.stored else None
            case "contents" | "contents after":
                return self.stored
            case "read":
                return file.sample.data() if self.stored else None
            case "read from an offset":
                return file.sample.data()[-1:] if self.stored else None
            case "known":
                return file.content if alive else None
            case "newest":
                return self.references[-1] if self.references else None
            case "references of a file version":
                return alive_times
            case "latest references" | "newest references":
                return times[-1:]
            case "files":
                if not alive:
                    return ()
                return (FileSummary(file.signature, file.content, 1, alive_times[0], alive_times[-1]),)
            case _:
                return times


@thorough
class SeeingTests(Base):
    """Of `Capability.SHARED`: nothing that a handle keeps is older than what another has written."""

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_each_question_on_a_second_handle_sees_each_write_at_once(self, place: Place) -> None:
        one, other = place.open(), place.open()
        _assert_each_write_is_seen(one, lambda question, file: QUESTIONS[question](other, file), "one")
        with OwnThread() as thread:
            _assert_each_write_is_seen(
                other, lambda question, file: thread.call(lambda: QUESTIONS[question](one, file)), "other"
            )

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_each_question_in_another_process_sees_each_write_at_once(self, place: Place) -> None:
        store, worker = place.open(), place.worker()
        worker.ready()

        def ask(question: str, file: File) -> object:
            worker.start(Ask(question, file))
            return worker.report()

        _assert_each_write_is_seen(store, ask, "process", METHODS)

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_stores_what_the_first_has_discarded(self, place: Place) -> None:
        one, other = place.open(), place.open()
        file = File("/etc/app.conf", Sample(100))
        for first, second in ((one, other), (other, one)):
            put(first, file)
            put(second, file)
            assert second.present([file.content.sha256]) == {file.content.sha256: file.content}
            first.discard([file.content.sha256])
            put(second, file)
            assert has_data(first, file)
            assert has_data(second, file)
            second.discard([file.content.sha256])
            assert first.present([file.content.sha256]) == {}

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_records_by_what_the_first_has_removed(self, place: Place) -> None:
        one, other = place.open(), place.open()
        file = File("/etc/app.conf", Sample(100))
        for write in ("record", "append"):
            for first, second in ((one, other), (other, one)):
                put(first, file)
                first.record({file.signature: file.content}, [file.seen(1)])
                getattr(second, write)({}, [file.seen(2)])  # it knows the signature now
                assert first.forget(Query()) == 2
                with pytest.raises(UnknownContent):
                    getattr(second, write)({}, [file.seen(3)])
                getattr(second, write)({file.signature: file.content}, [file.seen(3)])  # it knows the content now
                assert first.forget(Query()) == 1
                first.discard([file.content.sha256])
                with pytest.raises(UnknownContent):
                    getattr(second, write)({file.signature: file.content}, [file.seen(4)])
                assert first.references(Query()).items == ()

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_appends_after_what_the_first_has_appended(self, place: Place) -> None:
        one, other = place.open(), place.open()
        file = File("/etc/app.conf", Sample(100))
        harvest(one, [file], [file.seen(5)])
        assert other.append({}, [file.seen(1)]) == [file.seen(6)]
        assert one.append({}, [file.seen(1)]) == [file.seen(7)]
        assert other.append({}, [file.seen(1)]) == [file.seen(8)]
        one.record({}, [file.seen(100)])
        assert other.append({}, [file.seen(1)]) == [file.seen(101)]
        assert one.forget(Query(order=Order.NEWEST_FIRST, limit=3)) == 3
        assert other.append({}, [file.seen(1)]) == [file.seen(8)]
        assert other.forget(Query()) == 4
        put(other, file)
        assert one.append({file.signature: file.content}, [file.seen(1)]) == [file.seen(1)]

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_sees_what_its_files_conflict_with(self, place: Place) -> None:
        one, other = place.open(), place.open()
        contents: list[Content] = list(map(content_of, COLLIDING))
        for content, data in zip(contents, COLLIDING, strict=True):
            one.put(content, [data])
        signature = Signature("/etc/app.conf", contents[0].md5)
        for first, second in ((one, other), (other, one)):
            reference = Reference(signature, WEB, NO_METADATA, 1)
            assert second.known([signature]) == {}
            first.record({signature: contents[0]}, [reference])
            for write in (second.record, second.append):
                with pytest.raises(Conflict):
                    write({signature: contents[1]}, [reference])
            assert first.forget(Query()) == 1
            second.record({signature: contents[1]}, [reference])
            with pytest.raises(Conflict):
                first.record({signature: contents[0]}, [reference])
            assert second.forget(Query()) == 1

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_all_handles_see_the_same_leases(self, place: Place) -> None:
        one, other = place.open(), place.open()
        worker = place.worker()
        worker.ready()

        def claim(holder: str, now_ns: int, until_ns: int) -> object:
            worker.start(Claim([b"key"], holder, now_ns, until_ns))
            return worker.report()

        assert other.claim([b"key"], "other", 0, 10) == {b"key"}
        assert one.claim([b"key"], "one", 9, 20) == set()
        assert claim("process", 9, 20) == set()
        assert one.claim([b"key"], "other", 9, 100) == {b"key"}, "a holder is who it says, on each handle"
        assert claim("process", 99, 200) == set()
        assert claim("other", 50, 60) == {b"key"}
        assert one.claim([b"key"], "one", 59, 200) == set()
        assert other.claim([b"key"], "one", 60, 200) == {b"key"}
        one.release([b"key"], "other")
        assert claim("process", 70, 200) == set()
        one.release([b"key"], "one")
        assert claim("process", 70, 200) == {b"key"}
        assert other.claim([b"key"], "other", 70, 200) == set()
        other.release([b"key"], "process")
        assert one.claim([b"key"], "one", 70, 200) == {b"key"}


def _assert_each_write_is_seen(
    writer: Store, ask: Asking, name: str, questions: Collection[str] = tuple(QUESTIONS)
) -> None:
    """After each kind of write, one question is the first that is asked; before, it was asked the last."""
    for number, question in enumerate(questions):
        life = _Life(File(f"/{name}/{number}", Sample(100 + number)))
        for write in life.steps(writer):
            assert ask(question, life.file) == life.answer(question), f"{question} right after {write}"
