"""Values as Python code that makes them again: short, with a name for what is used twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from enum import Enum

from kharvest.spi import (
    MAX_TIME_NS,
    NO_METADATA,
    REMOVED,
    Content,
    FileSummary,
    Metadata,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Timeline,
)
from kharvest_conformance._dressing import Once
from kharvest_conformance._samples import (
    AGAIN,
    BLOCK,
    OTHER,
    TODAY,
    WEB,
    Chunks,
    FailingChunks,
    File,
    Sample,
    Twin,
    WatchedChunks,
    content_of,
    sample_of,
    sample_of_md5,
)
from kharvest_conformance._transcript import View

_LONG = 60
"""From how many characters on a text is searched for what repeats."""
_MANY = 8
"""From how many items on a collection is searched for a rule."""
_NEAR_NS = 1_000_000
_DIGITS = re.compile(r"\d+")
_EVERYTHING = Query()
_KNOWN_PODS = {WEB: "WEB", OTHER: "OTHER", AGAIN: "AGAIN"}


class Code:
    """Writes values as code. What `names` has is written by its name; what is used is counted in `uses`."""

    def __init__(self, *, counting: bool = False) -> None:
        self.names: dict[tuple[type, object], str] = {}
        self._counting = counting
        self.cursors: dict[str, str] = {}
        self.uses: dict[tuple[type, object], int] = {}
        self.constants: list[tuple[str, Sequence[object]]] = []

    def of(self, value: object) -> str:
        """The code for a value."""
        if isinstance(value, (File, Reference, Metadata, Pod)) and value not in _KNOWN_PODS and value != NO_METADATA:
            key: tuple[type, object] = (type(value), value)
            self.uses[key] = self.uses.get(key, 0) + 1
            if key in self.names:
                return self.names[key]
            if self._counting and self.uses[key] > 1:
                return ""  # its parts were counted with its first use
        return self.spelled(value)

    def spelled(self, value: object) -> str:  # noqa: C901, PLR0912  # one case for each type
        """The code for a value, without its own name."""
        match value:
            case bool() | None:
                return repr(value)
            case Enum():
                return str(value)
            case int():
                return _number(value)
            case str():
                return _text(value)
            case bytes():
                return self._bytes(value)
            case Twin():
                return repr(value)
            case Sample():
                return f"Sample({value.size}, {value.variant})" if value.variant else f"Sample({value.size})"
            case Chunks():
                return f"{self.of(value.sample)}.chunks({'' if value.length == BLOCK else value.length})"
            case FailingChunks():
                length = "" if value.length == BLOCK else f", {value.length}"
                return f"FailingChunks({self.of(value.sample)}, {value.chunks}{length})"
            case WatchedChunks():
                return self.of(value.chunks)
            case File():
                return f"File({self.of(value.path)}, {self.of(value.sample)})"
            case Pod():
                parts = (value.namespace, value.name, *filter(None, [value.uid]))
                return _KNOWN_PODS.get(value) or f"Pod({', '.join(map(self.of, parts))})"
            case Metadata():
                return f"Metadata({self.of(dict(value))})" if value else "NO_METADATA"
            case Content():
                return self._content(value)
            case Signature():
                file = _file(value)
                if file is not None:
                    return f"{self.of(file)}.signature"
                return f"Signature({self.of(value.path)}, {self.of(value.md5)})"
            case Timeline():
                return f"Timeline({self.of(value.pod)}, {self.of(value.path)})"
            case Reference():
                return self._reference(value)
            case FileSummary() | Page():
                return (
                    f"{type(value).__name__}({', '.join(self.of(getattr(value, one.name)) for one in fields(value))})"
                )
            case Query():
                return self._query(value)
            case View():
                return self._view(value)
            case Once():
                return f"iter({self.of(value.chunks)})"
            case dict():
                return self._dictionary(value)
            case list() | tuple() | set() | frozenset():
                return self._collection(value)
            case _:
                return repr(value)

    def _bytes(self, value: bytes) -> str:
        if value == REMOVED:
            return "REMOVED"
        sample = sample_of(value)
        if sample is not None:
            return f"{self.of(sample)}.content.sha256"
        sample = sample_of_md5(value)
        if sample is not None:
            return f"{self.of(sample)}.content.md5"
        if len(value) <= _LONG:
            return repr(value)
        sample = sample_of(content_of(value).sha256)
        return f"{self.of(sample)}.data()" if sample is not None else _repeated(repr(value))

    def _content(self, value: Content) -> str:
        sample = sample_of(value.sha256)
        if sample is not None and sample.content == value:
            return f"{self.of(sample)}.content"
        return f"Content({self.of(value.sha256)}, {self.of(value.md5)}, {value.size})"

    def _reference(self, value: Reference) -> str:
        signature = value.signature
        more = [value.observed_at_ns, value.pod, value.metadata]
        for default in (NO_METADATA, WEB):
            if more and more[-1] == default:
                more.pop()
            else:
                break
        if signature.is_removal:
            return f"removed({', '.join(map(self.of, (signature.path, *more)))})"
        file = _file(signature)
        if file is not None:
            return f"{self.of(file)}.seen({', '.join(map(self.of, more))})"
        return f"Reference({', '.join(map(self.of, (signature, value.pod, value.metadata, value.observed_at_ns)))})"

    def _query(self, value: Query) -> str:
        """What does not restrict is left out; a cursor is where it came from."""
        asked = [one.name for one in fields(value) if getattr(value, one.name) != getattr(_EVERYTHING, one.name)]
        parts = []
        for name in asked:
            cursor = self.cursors.get(value.cursor or "") if name == "cursor" else None
            parts.append(f"{name}={cursor or self.of(getattr(value, name))}")
        return f"Query({', '.join(parts)})"

    def _view(self, value: View) -> str:
        if value.kind == "keys":
            return f"dict.fromkeys({self.of(list(value.items))}).keys()"
        if value.kind == "values":
            return f"dict(enumerate({self.of(list(value.items))})).values()"
        return f"dict({self.of(list(value.items))}).items()"

    def _dictionary(self, value: dict[object, object]) -> str:
        files = [_file(key) if isinstance(key, Signature) else None for key in value]
        if len(value) > 1 and all(file and file.content == value[file.signature] for file in files):
            return f"{{one.signature: one.content for one in {self._collection(files)}}}"
        items = [f"{self.of(key)}: {self.of(one)}" for key, one in value.items()]
        return f"{{{_listed(items)}}}"

    def _collection(self, value: Iterable[object]) -> str:
        for name, constant in self.constants:
            if isinstance(value, list) and value == list(constant):
                return f"[*{name}]"
        items = [self.of(one) for one in value]
        if isinstance(value, (set, frozenset)):
            items.sort()
        inner = _listed(items)
        match value:
            case tuple():
                if inner.startswith("*"):
                    return f"({inner},)"
                return f"({inner}{',' if len(items) == 1 else ''})"
            case set():
                return f"{{{inner}}}" if items else "set()"
            case frozenset():
                return f"frozenset([{inner}])"
            case _:
                return f"[{inner}]"


def _file(signature: Signature) -> File | None:
    """The file of a signature, if its MD5 is that of a sample."""
    sample = sample_of_md5(signature.md5)
    return None if sample is None else File(signature.path, sample)


def _number(value: int) -> str:
    if value == MAX_TIME_NS:
        return "MAX_TIME_NS"
    if 0 <= value - TODAY < _NEAR_NS:
        return f"TODAY + {value - TODAY}" if value != TODAY else "TODAY"
    return repr(value)


def _text(value: str) -> str:
    return _repeated(repr(value)) if len(value) > _LONG else repr(value)


def _repeated(literal: str) -> str:
    """A long literal, with what repeats in it multiplied."""
    prefix = "b" if literal.startswith("b") else ""
    quote = literal[len(prefix)]
    body = literal[len(prefix) + 1 : -1]
    found = re.search(r"(\\x..|\\u.{4}|\\U.{8}|[^\\])\1{19,}", body)
    if found is None:
        return literal
    before, after = body[: found.start()], body[found.end() :]
    unit = found.group(1)
    parts = [f"{prefix}{quote}{before}{quote}"] if before else []
    parts.append(f"{prefix}{quote}{unit}{quote} * {len(found.group()) // len(unit)}")
    if after:
        parts.append(_repeated(f"{prefix}{quote}{after}{quote}"))
    text = " + ".join(parts)
    return text if len(parts) == 1 else f"({text})"


def _listed(items: list[str]) -> str:
    """Items one after the other, or the rule by which they are made: `*(… for n in range(…))`."""
    if len(items) >= _MANY:
        rule = _rule(items)
        if rule is not None:
            return rule
    return ", ".join(items)


def _rule(items: list[str]) -> str | None:
    """A comprehension that makes all items, if they differ only in numbers, and in these regularly."""
    parts = _DIGITS.split(items[0])
    numbers = [_DIGITS.findall(item) for item in items]
    if any(_DIGITS.split(item) != parts for item in items) or "{" in items[0]:
        return None
    written = [parts[0]]
    for column, part in zip(zip(*numbers, strict=True), parts[1:], strict=True):
        step = _step(column)
        if step is None:
            return None
        in_text = written and "".join(written).count("'") % 2 == 1
        written += [f"{{{step}}}" if in_text and not step.isdigit() else step, part]
    code = "".join(written)
    return f"*({_with_f(code)} for n in range({len(items)}))"


def _step(column: Sequence[str]) -> str | None:
    """How a number comes from its place: always the same, or more by as much each time."""
    if any(text != str(int(text)) for text in column):
        return column[0] if len(set(column)) == 1 else None
    values = [int(text) for text in column]
    if len(set(values)) == 1:
        return column[0]
    start, step = values[0], values[1] - values[0]
    if any(value != start + step * number for number, value in enumerate(values)):
        return None
    factor = "n" if step == 1 else f"{step} * n"
    return factor if start == 0 else f"{start} + {factor}"


def _with_f(code: str) -> str:
    """Mark the strings with something to fill in."""
    pieces: Iterator[str] = iter(re.split(r"('[^']*')", code))
    return "".join(f"f{one}" if one.startswith("'") and "{" in one else one for one in pieces)
