"""Faults in what a method makes of a collection that it is given, and of chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kharvest_zoo.generated.table import Rule, around, broken, change

_COLLECTIONS = {
    ("present", "sha256s"): 0,
    ("discard", "sha256s"): 0,
    ("record", "files"): 0,
    ("record", "references"): 1,
    ("append", "files"): 0,
    ("append", "references"): 1,
    ("known", "signatures"): 0,
    ("newest", "timelines"): 0,
    ("claim", "keys"): 0,
    ("release", "keys"): 0,
}
_MOST = (1, 2, 100, 500, 999, 1000, 1024, 4096, 9999)
_PIECES = (2, 100, 500, 999, 1000, 4096)


def _parts(given: Any) -> list[Any]:
    return list(given.items()) if isinstance(given, Mapping) else list(given)


def _whole(given: Any, parts: list[Any]) -> Any:
    return dict(parts) if isinstance(given, Mapping) else parts


def _twice(parts: list[Any]) -> bool:
    return any(part in parts[:number] for number, part in enumerate(parts[:64]))


def _refuse_empty(parts: list[Any]) -> list[Any]:
    return [parts[0], *parts[1:]]


def _refuse_twice(parts: list[Any]) -> list[Any]:
    if _twice(parts):
        raise ValueError("a duplicate key")
    return parts


def _once(parts: list[Any]) -> list[Any]:
    return [part for number, part in enumerate(parts) if part not in parts[:number][-64:]]


_LOSSES: dict[str, tuple[str, Rule]] = {
    "drops_the_first": ("starts at the second", lambda parts: parts[1:]),
    "drops_the_last": ("stops before the last", lambda parts: parts[:-1]),
    "drops_the_last_of_several": ("stops before the last of several", lambda parts: parts[: max(1, len(parts) - 1)]),
    "drops_the_middle": (
        "forgets the one in the middle",
        lambda parts: parts[: len(parts) // 2] + parts[len(parts) // 2 + 1 :],
    ),
    "refuses_none": ("fails when there is nothing to do", _refuse_empty),
    "refuses_twice": ("fails when something is named twice", _refuse_twice),
    **{
        f"takes_only_{most}": (f"has room for {most} in one statement", lambda parts, most=most: parts[:most])
        for most in _MOST
    },
    **{
        f"drops_what_is_left_of_{size}": (
            f"works in pieces of {size} and forgets the last, which is shorter",
            lambda parts, size=size: parts[: len(parts) // size * size] if len(parts) > size else parts,
        )
        for size in _PIECES
    },
    **{
        f"drops_one_between_{size}": (
            f"works in pieces of {size} and begins each one too late",
            lambda parts, size=size: [part for number, part in enumerate(parts) if number % (size + 1) != size],
        )
        for size in _PIECES
    },
    **{
        f"refuses_more_than_{size}": (
            f"hands all to the database, which takes {size} parameters",
            lambda parts, size=size: parts if len(parts) <= size else [][size],
        )
        for size in (100, 999, 4096, 9999)
    },
}

for (_method, _argument), _at in _COLLECTIONS.items():
    for _kind, (_fault, _loss) in _LOSSES.items():
        if _argument == "files" and _kind == "refuses_twice":
            continue  # a mapping names nothing twice

        def _with_loss(self: Any, call: Any, *given: Any, at: int = _at, loss: Any = _loss) -> Any:
            changed = list(given)
            changed[at] = _whole(given[at], loss(_parts(given[at])))
            return call(*changed)

        change(_method, f"{_kind}_{_argument}", f"{_fault} of {_argument}", _with_loss)

    def _indexed(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        if given[at]:
            given[at][0] if not isinstance(given[at], Mapping) else next(iter(given[at].copy()))
        return call(*given)

    def _sliced(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        return call(*given[:at], given[at] if isinstance(given[at], Mapping) else given[at][:], *given[at + 1 :])

    def _lists_only(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        if not isinstance(given[at], list | tuple | dict):
            raise TypeError("a list, please")
        return call(*given)

    def _no_views(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        if not isinstance(given[at], list | tuple | dict | set | frozenset):
            raise TypeError("a collection that is known, please")
        return call(*given)

    def _empties(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        answer = call(*given)
        if isinstance(given[at], list | set | dict):
            given[at].clear()
        return answer

    def _takes_one(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        answer = call(*given)
        if isinstance(given[at], list | set) and given[at]:
            given[at].pop()
        if isinstance(given[at], dict) and given[at]:
            given[at].popitem()
        return answer

    def _sorts(self: Any, call: Any, *given: Any, at: int = _at) -> Any:
        if isinstance(given[at], list):
            given[at].sort(key=repr, reverse=True)
        return call(*given)

    _sequence = _argument == "references"
    if not _sequence:
        if _argument != "files":
            change(_method, f"indexes_{_argument}", f"looks at the first of {_argument} by its index", _indexed)
            change(_method, f"slices_{_argument}", f"cuts {_argument} with a slice", _sliced)
            change(_method, f"wants_a_list_of_{_argument}", f"takes lists and tuples as {_argument} only", _lists_only)
        change(_method, f"wants_no_view_as_{_argument}", f"does not take a view or a proxy as {_argument}", _no_views)
    change(_method, f"empties_{_argument}", f"clears {_argument} when it is done with them", _empties)
    change(_method, f"takes_one_of_{_argument}", f"pops the last one of {_argument}", _takes_one)
    if _argument != "files":
        change(_method, f"sorts_{_argument}", f"sorts the caller's {_argument}", _sorts)


def _append_in_order(key: Any) -> Any:
    return lambda self, call, files, references: call(files, key(references))


change(
    "append",
    "once_each",
    "takes the same reference twice for one",
    _append_in_order(lambda given: list(dict.fromkeys(given))),
)
change("append", "as_a_set", "puts the references into a set first", _append_in_order(lambda given: list(set(given))))
change("append", "backwards", "appends the last one first", _append_in_order(lambda given: given[::-1]))
change(
    "append",
    "by_time",
    "sorts the batch by time",
    _append_in_order(lambda given: sorted(given, key=lambda one: one.observed_at_ns)),
)
change(
    "append",
    "by_timeline",
    "groups the batch by timeline, and answers in that order",
    _append_in_order(lambda given: sorted(given, key=lambda one: (one.signature.path, one.pod))),
)


def _keep_for_later(method: str) -> None:
    """The work of a call is done with the next call, from what the caller gave."""

    def later(self: Any, call: Any, *given: Any) -> None:
        work(self)
        self.__dict__.setdefault("later", []).append(given)

    def work(self: Any) -> None:
        for given in self.__dict__.pop("later", []):
            getattr(super(type(self), self), method)(*given)

    def before(other: str) -> Any:
        def wrap(self: Any, call: Any, *given: Any, **named: Any) -> Any:
            work(self)
            return call(*given, **named)

        return wrap

    others = {
        "present",
        "read",
        "contents",
        "put",
        "discard",
        "record",
        "append",
        "known",
        "newest",
        "references",
        "files",
        "forget",
        "claim",
        "release",
    } - {method}
    changes = {other: around(other, before(other)) for other in others}
    broken(
        f"{method}__keeps_what_it_was_given",
        "does the work with the next call, with the collections of the caller",
        **changes,
        **{method: around(method, later)},
    )


for _method in ("discard", "release"):
    _keep_for_later(_method)


# chunks


def _chunked(alter: Rule) -> Any:
    return lambda self, call, content, chunks: call(content, alter(chunks))


def _first(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    for number, chunk in enumerate(chunks):
        if number < most:
            yield chunk


def _until_shorter(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        if len(chunk) >= size:
            yield chunk
        size = max(size, len(chunk))


def _twice_drawn(chunks: Iterable[bytes]) -> Iterable[bytes]:
    sum(len(chunk) for chunk in chunks)
    return chunks


_CHUNKS: dict[str, tuple[str, Rule]] = {
    "indexes_chunks": ("looks at the first chunk by its index", lambda chunks: [chunks[0], *chunks[1:]]),
    "counts_chunks": ("asks how many chunks there are", lambda chunks: [*chunks][: len(chunks)]),
    "draws_chunks_twice": ("adds up the sizes first, then draws again", _twice_drawn),
    "wants_one_chunk": ("draws a first chunk whatever comes", lambda chunks: [next(iter(chunks)), *chunks]),
    "wants_an_iterator": (
        "takes a list of chunks for an iterator",
        lambda chunks: iter(lambda: next(chunks, b""), b""),
    ),
    "strips_chunks": ("strips white space off chunks", lambda chunks: [chunk.strip() for chunk in chunks]),
    "ends_chunks_at_nul": ("takes chunks for C strings", lambda chunks: [chunk.split(b"\0")[0] for chunk in chunks]),
    "decodes_chunks": (
        "takes contents for text",
        lambda chunks: [chunk.decode(errors="replace").encode() for chunk in chunks],
    ),
    "unifies_line_ends": (
        "writes files in text mode",
        lambda chunks: [chunk.replace(b"\r\n", b"\n") for chunk in chunks],
    ),
    "sorts_chunks": (
        "lists the pieces by name",
        lambda chunks: [one for _, one in sorted(enumerate(chunks), key=lambda item: str(item[0]))],
    ),
    "drops_short_chunks": ("skips a chunk of one byte", lambda chunks: [chunk for chunk in chunks if len(chunk) > 1]),
    "stops_at_a_short_chunk": (
        "takes a chunk that is shorter than those before for the last",
        _until_shorter,
    ),
    "drops_equal_chunks": ("keeps equal chunks once", lambda chunks: list(dict.fromkeys(chunks))),
    **{
        f"takes_only_{most}_chunks": (f"keeps the first {most} chunks", lambda chunks, most=most: _first(chunks, most))
        for most in (1, 2, 10, 100, 1000)
    },
    **{
        f"cuts_chunks_at_{most}": (
            f"cuts each chunk at {most} bytes",
            lambda chunks, most=most: [chunk[:most] for chunk in chunks],
        )
        for most in (4096, 65_535, 65_536, 262_144, 1_048_575)
    },
}
for _kind, (_fault, _alter) in _CHUNKS.items():
    change("put", _kind, _fault, _chunked(_alter))
