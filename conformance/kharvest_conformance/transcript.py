"""Writes down what a test does with a store, so that a failure can show the shortest way to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

from kharvest.spi import Capability, Content, FileSummary, Order, Page, Query, Reference, Signature, Store, Timeline

Answer = TypeVar("Answer")

_SHOWN_ANSWER = 300
_EVERYTHING = Query()
_SHOWN_CALLS = 60


@dataclass(slots=True)
class _Line:
    code: Callable[[], str]
    outcome: str = ""


@dataclass(slots=True)
class Transcript:
    """The calls on the stores of one place, in order, as Python code that makes them again.

    `leases` has the keys that each holder has claimed.
    """

    opening: str
    leases: dict[str, set[bytes]] = field(default_factory=dict)
    _lines: list[_Line] = field(default_factory=list)

    def add(self, code: Callable[[], str]) -> _Line:
        """Write down a call that is about to be made; `code` is asked for only if it is ever shown."""
        line = _Line(code)
        self._lines.append(line)
        return line

    def snippet(self) -> str:
        """A program that does what was done, with each call's outcome behind it. Long ones show their end."""
        head = ["from kharvest.spi import *", "from kharvest_conformance.samples import *", self.opening, ""]
        left_out = len(self._lines) - _SHOWN_CALLS
        if left_out > 0:
            head.append(f"# … {left_out} calls before")
        calls = [f"{line.code()}{line.outcome}" for line in self._lines[-_SHOWN_CALLS:]]
        return "\n".join(head + calls)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_ANSWER else f"{text[:_SHOWN_ANSWER]}… ({len(text)} characters)"


class RecordedStore:
    """A handle on a store that writes every call down and changes nothing. `closed` tells whether it was closed."""

    def __init__(self, store: Store, name: str, transcript: Transcript) -> None:
        self._store = store
        self._name = name
        self._transcript = transcript
        self.closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._store.capabilities

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        self._call(lambda: self._store.put(content, chunks), "put", content, chunks)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return self._drawn("read", self._call(lambda: self._store.read(sha256, offset), "read", sha256, offset))

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return self._call(lambda: self._store.present(sha256s), "present", sha256s)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return self._drawn("contents", self._call(lambda: self._store.contents(after), "contents", after))

    def discard(self, sha256s: Collection[bytes]) -> None:
        self._call(lambda: self._store.discard(sha256s), "discard", sha256s)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self._call(lambda: self._store.record(files, references), "record", files, references)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        return self._call(lambda: self._store.known(signatures), "known", signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return self._call(lambda: self._store.newest(timelines), "newest", timelines)

    def references(self, query: Query) -> Page[Reference]:
        return self._call(lambda: self._store.references(query), "references", query)

    def files(self, query: Query) -> Page[FileSummary]:
        return self._call(lambda: self._store.files(query), "files", query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        self._transcript.leases.setdefault(holder, set()).update(keys)
        return self._call(
            lambda: self._store.claim(keys, holder, now_ns, until_ns), "claim", keys, holder, now_ns, until_ns
        )

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self._call(lambda: self._store.release(keys, holder), "release", keys, holder)

    def forget(self, query: Query) -> int:
        return self._call(lambda: self._store.forget(query), "forget", query)

    def close(self) -> None:
        self.closed = True
        self._call(self._store.close, "close")

    def _call(self, call: Callable[[], Answer], method: str, *arguments: object) -> Answer:
        line = self._transcript.add(lambda: f"{self._name}.{method}({', '.join(map(_code, arguments))})")
        try:
            answer = call()
        except BaseException as error:
            line.outcome = f"  # raised {type(error).__name__}: {error}"
            raise
        if answer is not None and not isinstance(answer, Iterator):
            line.outcome = f"  # → {_shown(answer)}"
        return answer

    def _drawn(self, method: str, items: Iterator[Answer]) -> Iterator[Answer]:
        line = self._transcript.add(lambda: f"# reading what {self._name}.{method}() gave")
        count = 0
        try:
            for item in items:
                count += 1
                yield item
        except GeneratorExit:
            line.outcome = f" stopped after {count}"
            close = getattr(items, "close", None)
            if close is not None:
                close()
            raise
        except BaseException as error:
            line.outcome = f" raised {type(error).__name__} after {count}: {error}"
            raise
        else:
            line.outcome = f": {count} in all"


def _code(argument: object) -> str:
    if isinstance(argument, Query):  # what does not restrict is left out
        asked = [one for one in fields(argument) if getattr(argument, one.name) != getattr(_EVERYTHING, one.name)]
        return f"Query({', '.join(f'{one.name}={_code(getattr(argument, one.name))}' for one in asked)})"
    return str(argument) if isinstance(argument, Order) else repr(argument)
