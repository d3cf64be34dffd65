"""Writes down what a test does with a store, so that a failure can show the shortest way to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from typing import TypeVar

from kharvest.spi import Capability, Content, FileSummary, Page, Query, Reference, Signature, Store, Timeline
from kharvest_conformance._dressing import Dressing, Once
from kharvest_conformance._patience import PATIENCE

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Nothing:
    """Stands for an answer that there was not."""


NOTHING = Nothing()

LONG_CHUNK = 64
"""Of a chunk with more bytes only their number is kept."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of a dictionary, as it was when a store was given it: its kind, `keys`, `values` or `items`."""

    kind: str
    items: tuple[object, ...]


@dataclass(slots=True)
class Call:
    """A call on a handle.

    Attributes:
        arguments: as they were when the call was made.
        thread: which thread made it.
        nested: whether another call of the same thread was under way, which drew chunks.
        error: the type of what it raised.
        message: the text of that.
        expected: what it should have answered, if the test said so.
    """

    store: str
    method: str
    arguments: tuple[object, ...]
    thread: int
    nested: bool
    answer: object = NOTHING
    error: type[BaseException] | None = None
    message: str = ""
    expected: object = NOTHING


@dataclass(slots=True)
class Drawing:
    """Items that were drawn from the iterator that a call gave, one directly after the other.

    Attributes:
        items: what was drawn; of long chunks their length.
        ended: whether it had no more.
        closed: whether it was closed.
    """

    call: Call
    items: list[object] = field(default_factory=list)
    ended: bool = False
    closed: bool = False
    error: type[BaseException] | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """One more handle was opened."""

    store: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What happened beside the calls."""

    text: str


Entry = Call | Drawing | Opening | Remark


@dataclass(slots=True)
class Transcript:
    """What was done on the stores of one place, in order.

    `leases` has the keys that each holder has claimed.
    """

    leases: dict[str, set[bytes]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    dressing: Dressing = field(default_factory=Dressing)
    _under_way: dict[int, int] = field(default_factory=dict)

    def begin(self, store: str, method: str, arguments: tuple[object, ...]) -> Call:
        """Write down a call that is about to be made."""
        thread = threading.get_ident()
        depth = self._under_way.get(thread, 0)
        self._under_way[thread] = depth + 1
        call = Call(store, method, tuple(map(_kept, arguments)), thread, depth > 0)
        self.entries.append(call)
        return call

    def end(self, call: Call) -> None:
        """Say that it has returned."""
        self._under_way[call.thread] -= 1
        PATIENCE.returned[call.thread] += 1

    def forget_repeat(self, call: Call) -> None:
        """Forget the last call if the one before it was the same, with the same answer: while somebody waits."""
        if len(self.entries) > 1 and self.entries[-1] is call:
            before = self.entries[-2]
            same = (call.store, call.method, call.answer)
            if isinstance(before, Call) and (before.store, before.method, before.answer) == same:
                self.entries.pop()

    def draw(self, call: Call) -> Drawing:
        """Where to count the next item that is drawn."""
        last = self.entries[-1]
        if not isinstance(last, Drawing) or last.call is not call or last.closed:
            last = Drawing(call)
            self.entries.append(last)
        return last

    def expect(self, expected: object) -> None:
        """Write down what the last call should have answered."""
        for entry in reversed(self.entries):
            if isinstance(entry, Drawing):
                entry = entry.call  # noqa: PLW2901
            if isinstance(entry, Call):
                entry.expected = _kept(expected)
                return


def shown_item(item: object) -> object:
    """What is kept of an item that was drawn."""
    return len(item) if isinstance(item, bytes) and len(item) > LONG_CHUNK else item


def _kept(value: object) -> object:
    """A value as it is now, whatever is done to it later."""
    if type(value) in (list, set, dict):
        return value.copy()  # type: ignore[attr-defined]
    for kind, view in (("keys", KeysView), ("values", ValuesView), ("items", ItemsView)):
        if isinstance(value, view):
            return View(kind, tuple(value))
    return value


class RecordedStore:
    """A handle on a store that writes every call down, and dresses its arguments.

    Attributes:
        closed: whether it was closed.
    """

    def __init__(self, store: Store, name: str, transcript: Transcript) -> None:
        self._store = store
        self._name = name
        self._transcript = transcript
        self.closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._store.capabilities

    # What a method returns is passed on as it is, also where it should be nothing: tests look at that.

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        return self._call(self._store.put, "put", content, self._transcript.dressing.chunks(chunks))

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return self._drawn(*self._begun(self._store.read, "read", sha256, *((offset,) if offset else ())))

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return self._call(self._store.present, "present", self._dressed("present", sha256s))

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return self._drawn(*self._begun(self._store.contents, "contents", *((after,) if after else ())))

    def discard(self, sha256s: Collection[bytes]) -> None:
        return self._call(self._store.discard, "discard", self._dressed("discard", sha256s))

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        return self._call(self._store.record, "record", files, references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return self._call(self._store.append, "append", files, references)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        return self._call(self._store.known, "known", self._dressed("known", signatures))

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return self._call(self._store.newest, "newest", self._dressed("newest", timelines))

    def references(self, query: Query) -> Page[Reference]:
        return self._call(self._store.references, "references", query)

    def files(self, query: Query) -> Page[FileSummary]:
        return self._call(self._store.files, "files", query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        self._transcript.leases.setdefault(holder, set()).update(keys)
        return self._call(self._store.claim, "claim", self._dressed("claim", keys), holder, now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        return self._call(self._store.release, "release", self._dressed("release", keys), holder)

    def now_ns(self) -> int:
        call, now = self._begun(self._store.now_ns, "now_ns")
        self._transcript.forget_repeat(call)
        return now

    def forget(self, query: Query) -> int:
        return self._call(self._store.forget, "forget", query)

    def close(self) -> None:
        self.closed = True
        return self._call(self._store.close, "close")

    @property
    def unrecorded(self) -> Store:
        """The store itself, for what is done when the test has ended."""
        return self._store

    def close_unrecorded(self) -> None:
        """Close it without a word: the test has ended."""
        self.closed = True
        self._store.close()

    def _dressed(self, method: str, items: Collection[Item]) -> Collection[Item]:
        return self._transcript.dressing.collection(method, items)

    def _call(self, call: Callable[..., Answer], method: str, *arguments: object) -> Answer:
        return self._begun(call, method, *arguments)[1]

    def _begun(self, call: Callable[..., Answer], method: str, *arguments: object) -> tuple[Call, Answer]:
        entry = self._transcript.begin(self._name, method, arguments)
        try:
            answer = call(*(one.drawn() if isinstance(one, Once) else one for one in arguments))
        except BaseException as error:
            entry.error, entry.message = type(error), str(error)
            raise
        finally:
            self._transcript.end(entry)
        entry.answer = answer if isinstance(answer, Page) or not isinstance(answer, Iterator) else NOTHING
        if type(answer) in (list, set, dict):
            entry.answer = answer.copy()  # type: ignore[attr-defined]
        return entry, answer

    def _drawn(self, call: Call, items: Iterator[Answer]) -> Iterator[Answer]:
        draw = self._transcript.draw
        try:
            while True:  # not `for`: a list, say, is no iterator
                try:
                    item = next(items)
                except StopIteration:
                    break
                draw(call).items.append(shown_item(item))
                yield item
        except GeneratorExit:
            draw(call).closed = True
            close = getattr(items, "close", None)
            if close is not None:
                close()
            raise
        except BaseException as error:
            drawing = draw(call)
            drawing.error, drawing.message = type(error), str(error)
            raise
        else:
            draw(call).ended = True
