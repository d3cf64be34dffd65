"""A transcript as a program that does the same again, and fails in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from kharvest.spi import Metadata, Page, Pod, Query, Reference
from kharvest_conformance import _alphabet as alphabet
from kharvest_conformance._samples import File, sample_of
from kharvest_conformance._transcript import LONG_CHUNK, NOTHING, Call, Drawing, Entry, Opening, Remark
from kharvest_conformance._values_code import Code

_WIDTH = 120
_SHOWN_ANSWER = 100
"""How many characters an answer may have to stand behind its call; the last one's is shown however long it is."""
_HEAD = "from contextlib import suppress\nfrom kharvest.spi import *\nfrom kharvest_conformance._samples import *"
_MANY_NAMES = 20
_WORDS = {File: "file", Reference: "reference", Pod: "pod", Metadata: "metadata"}
_WALKS = {"references": "walk", "files": "walk_files"}
_ORDER = (Pod, Metadata, File, Reference)
_CONSTANTS = ("SIGNATURES", "TIMELINES", "DIGESTS")


def program(opening: str, reopening: str, entries: Sequence[Entry], main_thread: int) -> str:
    """The code of what was done.

    `opening` opens the first handle, as `store`; `reopening` one more on the same place, as `{name}`.
    """
    entries = list(_with_walks(entries))
    counted = _Program(reopening, entries, main_thread, Code(counting=True))
    list(counted.lines())
    code = Code()
    numbers: dict[type, int] = {}
    repeated = [key for key, uses in counted.code.uses.items() if uses > 1]
    if len(repeated) > _MANY_NAMES:  # so many are made by a rule, which their names would hide
        repeated = [key for key in repeated if key[0] in (Pod, Metadata)]
    definitions = []
    for kind, value in sorted(repeated, key=lambda key: _ORDER.index(key[0])):
        numbers[kind] = numbers.get(kind, 0) + 1
        name = _WORDS[kind] + (str(numbers[kind]) if numbers[kind] > 1 else "")
        definitions.append(f"{name} = {code.spelled(value)}")
        code.names[kind, value] = name
    written = _Program(reopening, entries, main_thread, code)
    lines = list(written.lines())
    head = [_HEAD, *(["from kharvest_conformance import alphabet"] if any("alphabet." in one for one in lines) else [])]
    walks = sorted({walk for walk in _WALKS.values() if any(f"{walk}(" in one for one in lines)})
    if walks:
        head.append(f"from kharvest_conformance._walks import {', '.join(walks)}")
    if any("at_once(" in one for one in lines):
        head.append("from kharvest_conformance.suite._holding import at_once")
    opening_lines = opening.splitlines()
    head += [one for one in opening_lines if one.startswith(("import ", "from "))]
    opening_lines = [one for one in opening_lines if one and one not in head]
    return "\n".join([*head, "", *opening_lines, "", *definitions, *([""] if definitions else []), *lines])


def _with_walks(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Pages that were read one directly after the other, from the first to the last, are one walk."""
    number = 0
    while number < len(entries):
        pages = _walk_at(entries, number)
        if len(pages) > 1:
            first, last = pages[0], pages[-1]
            items = [item for page in pages if isinstance(page.answer, Page) for item in page.answer.items]
            yield replace(first, method=_WALKS[first.method], answer=items, expected=last.expected)
        else:
            yield entries[number]
        number += max(1, len(pages))


def _walk_at(entries: Sequence[Entry], start: int) -> list[Call]:
    """The pages of the walk that starts there; none if none does, or if it goes on later or never ends."""
    pages: list[Call] = []
    query: Query | None = None
    for entry in entries[start:]:
        asked = entry.arguments[0] if isinstance(entry, Call) and entry.method in _WALKS else None
        if not isinstance(entry, Call) or not isinstance(asked, Query) or not isinstance(entry.answer, Page):
            return []
        same = not pages or (entry.store, entry.method, entry.thread) == (
            pages[0].store,
            pages[0].method,
            pages[0].thread,
        )
        if not same or (asked.cursor is not None if query is None else asked != query):
            return []
        pages.append(entry)
        if entry.answer.next_cursor is None:
            return pages
        query = replace(asked, cursor=entry.answer.next_cursor)
    return []


class _Program:
    """Writes entries as lines, with one `Code`."""

    def __init__(self, reopening: str, entries: Sequence[Entry], main_thread: int, code: Code) -> None:
        self.reopening = reopening
        self.entries = entries
        self.main_thread = main_thread
        self.code = code
        code.constants = [(f"alphabet.{name}", getattr(alphabet, name)) for name in _CONSTANTS]
        self.asked = {
            one.cursor
            for entry in entries
            if isinstance(entry, Call)
            for one in entry.arguments
            if isinstance(one, Query) and one.cursor is not None
        }
        self.opened = 0
        self.pages = 0
        self.readers: dict[int, str] = {}

    def lines(self) -> Iterator[str]:
        """The program's lines."""
        last = self.entries[-1] if self.entries else None
        for thread, group in groupby(self.entries, key=self._thread):
            members = list(group)
            if thread is not None:
                yield from self._at_once(members)
                continue
            for number, entry in enumerate(members):
                after = members[number + 1] if number + 1 < len(members) else None
                yield from self._entry(entry, after, last)

    def _thread(self, entry: Entry) -> bool | None:
        """True for what another thread did, None for what the test's own did."""
        call = entry.call if isinstance(entry, Drawing) else entry
        return True if isinstance(call, Call) and call.thread != self.main_thread else None

    def _at_once(self, entries: Sequence[Entry]) -> Iterator[str]:
        """What ran at the same time, each thread's calls in a list of their own."""
        by_thread: dict[int, list[str]] = {}
        for entry in entries:
            if isinstance(entry, Call):
                shown = self._call(entry)
                calls = by_thread.setdefault(entry.thread, [])
                calls.append(f"list({shown})" if entry.method in ("read", "contents") else shown)
        yield "# At once, each in a thread of its own:"
        yield "at_once("
        for calls in by_thread.values():
            yield f"    lambda: [{', '.join(calls)}],"
        yield ")"
        for entry in entries:
            if isinstance(entry, Call):
                yield f"# {entry.store}.{entry.method} {_outcome_of(entry, self.code) or 'returned'}"

    def _entry(self, entry: Entry, after: Entry | None, last: Entry | None) -> Iterator[str]:
        match entry:
            case Opening():
                self.opened += 1
                if self.opened > 1:
                    yield self.reopening.replace("{name}", entry.store)
            case Remark():
                yield f"# {entry.text}"
            case Call() if entry.nested:
                yield f"# while it draws its chunks: {self._call(entry)}{_comment(entry, self.code)}"
            case Call():
                yield from self._called(entry, after, last)
            case Drawing():
                yield from self._drawn(entry, last)

    def _called(self, call: Call, after: Entry | None, last: Entry | None) -> Iterator[str]:
        if call.method in ("read", "contents") and call.error is None:
            whole = isinstance(after, Drawing) and after.call is call and (after.ended or after.error is not None)
            name = f"reader{len(self.readers) + 1}" if self.readers else "reader"
            self.readers[id(call)] = "" if whole else name
            if not whole:
                yield f"{name} = {self._call(call)}"
            return
        code = self._call(call)
        if call is last:
            yield from self._last(call, code)
        elif call.error is not None:
            yield f"with suppress({_name_of(call.error)}):"
            yield f"    {code}  # raised {_one_line(call.message)}"
        else:
            cursor = call.answer.next_cursor if isinstance(call.answer, Page) else None
            if cursor is not None and cursor in self.asked:
                self.pages += 1
                page = f"page{self.pages}" if self.pages > 1 else "page"
                self.code.cursors[cursor] = f"{page}.next_cursor"
                code = f"{page} = {code}"
            yield f"{code}{_comment(call, self.code)}"

    def _drawn(self, drawing: Drawing, last: Entry | None) -> Iterator[str]:
        name = self.readers.get(id(drawing.call), "reader")
        outcome = f"raised {drawing.error.__name__}: {_one_line(drawing.message)}" if drawing.error else ""
        if not name:
            yield from self._drawn_whole(drawing, outcome, is_last=drawing is last)
            return
        if len(drawing.items) == 1:
            yield f"next({name})"
        elif drawing.items:
            yield f"[next({name}) for _ in range({len(drawing.items)})]"
        if drawing.closed:
            yield f"{name}.close()"
        elif drawing.ended:
            yield f"assert next({name}, None) is not None  # it had ended" if drawing is last else f"next({name}, None)"
        elif outcome and drawing is last:
            yield f"next({name})  # {outcome}"
        elif outcome:
            yield f"with suppress({_name_of(drawing.error)}):"
            yield f"    next({name})  # {outcome}"

    def _drawn_whole(self, drawing: Drawing, outcome: str, *, is_last: bool) -> Iterator[str]:
        """An iterator that was drawn to its end at once."""
        code = f"list({self._call(drawing.call)})"
        if not is_last:
            if outcome:
                yield f"with suppress({_name_of(drawing.error)}):"
                code = f"    {code}"
            yield f"{code}  # {outcome or f'{len(drawing.items)} items'}"
        elif outcome:
            yield f"{code}  # {outcome}"
        elif drawing.call.expected is not NOTHING:
            yield from self._asserted(code, drawing.call)
        else:
            if drawing.call.method == "read":
                code = f"[one if len(one) <= {LONG_CHUNK} else len(one) for one in {self._call(drawing.call)}]"
            yield f"print({code})  # it was {self.code.of(drawing.items)}"

    def _last(self, call: Call, code: str) -> Iterator[str]:
        if call.error is not None:
            yield f"{code}  # raised {call.error.__name__}: {_one_line(call.message)}"
        elif call.expected is not NOTHING:
            yield from self._asserted(code, call)
        else:
            yield f"print({code})  # it was {self.code.of(call.answer if call.answer is not NOTHING else None)}"

    def _asserted(self, code: str, call: Call) -> Iterator[str]:
        expected = self.code.of(call.expected)
        if isinstance(call.answer, Page) and not isinstance(call.expected, Page):
            kind = type(call.expected).__name__
            code = f"{kind}({code}.items)"
        line = f"assert {code} == {expected}"
        yield line if len(line) <= _WIDTH else f"answer = {code}\nassert answer == {expected}, answer"
        if call.answer is not NOTHING:
            yield f"# it was {self.code.of(call.answer)}"

    def _call(self, call: Call) -> str:
        arguments = [self.code.of(one) for one in call.arguments]
        if call.method == "put":
            arguments[1] = self._chunks(call.arguments[0], call.arguments[1], arguments[1])
        if call.method in _WALKS.values():
            return f"{call.method}({call.store}, {arguments[0]})"
        return f"{call.store}.{call.method}({', '.join(arguments)})"

    def _chunks(self, content: object, chunks: object, code: str) -> str:
        """What can be drawn once is made again from what its content is."""
        sample = sample_of(getattr(content, "sha256", b""))
        if isinstance(chunks, (list, tuple)) and sample is not None and b"".join(chunks) == sample.data():
            if len(chunks) > 1 and len({*map(len, chunks[:-1])}) == 1 and len(chunks[-1]) <= len(chunks[0]):
                return f"{self.code.of(sample)}.chunks({len(chunks[0])})"
            return f"[{self.code.of(sample)}.data()]" if len(chunks) == 1 else code
        if not code.startswith("<"):
            return code
        return f"iter({self.code.of(sample)}.chunks())" if sample is not None else f"...  # {type(chunks).__name__}"


_KNOWN_MODULES = {"builtins", "kharvest.spi._errors", "kharvest.spi._content_errors", "kharvest_conformance._samples"}


def _name_of(error: type[BaseException] | None) -> str:
    """An error's name, if the program knows it."""
    if error is None:
        return "Exception"
    known = error.__module__ in (
        "builtins",
        "kharvest.spi._errors",
        "kharvest.spi._content_errors",
        "kharvest_conformance._samples",
    )
    return error.__name__ if known else "Exception"


def _outcome_of(call: Call, code: Code) -> str:
    if call.error is not None:
        return f"raised {call.error.__name__}: {_one_line(call.message)}"
    if call.answer is NOTHING or call.answer is None:
        return ""
    return f"→ {code.of(call.answer)}"


def _comment(call: Call, code: Code) -> str:
    uses = dict(code.uses)
    outcome = _outcome_of(call, code)
    if len(outcome) > _SHOWN_ANSWER:
        code.uses = uses
    return f"  # {outcome}" if outcome and len(outcome) <= _SHOWN_ANSWER else ""


def _one_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
