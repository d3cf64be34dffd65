"""Faults of answers that are kept: for how long, by what, and for whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kharvest.spi import NO_METADATA, Order
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.generated.table import around, broken
from kharvest_zoo.plain import PlainStore

_WRITES = {
    "present": ("put", "discard"),
    "read": ("put", "discard"),
    "contents": ("put", "discard"),
    "known": ("record", "append", "forget"),
    "newest": ("record", "append", "forget"),
    "references": ("record", "append", "forget"),
    "files": ("record", "append", "forget"),
}
"""Which writes can change what a method answers."""


def _key(given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    parts = [
        tuple(sorted(map(repr, part)))
        if isinstance(part, list | tuple | set | frozenset) or hasattr(part, "keys")
        else part
        for part in given
    ]
    return tuple(parts), tuple(named.items())


def _caching(
    read: str,
    clearing: tuple[str, ...],
    base: type[PlainStore],
    keep: str = "all",
    forgets: Any = None,
    shares: bool = False,
) -> dict[str, Any]:
    """The methods of a store that keeps the answers of `read` until one of `clearing` is called."""
    lazy = read in {"read", "contents"}

    def remembered(self: Any, call: Any, *given: Any, **named: Any) -> Any:
        cache = self.__dict__.setdefault("kept_answers", {})
        key = _key(tuple(map(forgets, given)) if forgets else given, named)
        if key not in cache:
            answer = call(*given, **named)
            if lazy:
                answer = list(answer)
            empty = not (answer.items if hasattr(answer, "next_cursor") else answer)
            if (keep == "empty" and not empty) or (keep == "full" and empty):
                return iter(answer) if lazy else answer
            cache[key] = answer
        answer = cache[key]
        if lazy:
            return iter(list(answer))
        return answer if shares or not hasattr(answer, "copy") else answer.copy()

    def clear(self: Any, call: Any, *given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        finally:
            self.__dict__.pop("kept_answers", None)

    return {read: around(read, remembered, base), **{write: around(write, clear, base) for write in clearing}}


for _read, _writes in _WRITES.items():
    broken(f"{_read}__cached_for_ever", "keeps its answers for ever", **_caching(_read, (), PlainStore))
    for _write in _writes:
        if (_read, _write) == ("read", "put"):
            continue  # what is not there is an error, which is not kept, and putting again changes nothing
        _others = tuple(one for one in _writes if one != _write)
        broken(
            f"{_read}__cached_until_all_but_{_write}",
            f"keeps its answers, and does not clear them on {_write}",
            **_caching(_read, _others, PlainStore),
        )
    broken(
        f"{_read}__caches_absence",
        "keeps for ever that nothing is there",
        **_caching(_read, (), PlainStore, keep="empty"),
    )
    broken(f"{_read}__caches_presence", "keeps for ever what is there", **_caching(_read, (), PlainStore, keep="full"))
    broken(
        f"{_read}__cached_in_each_handle",
        "keeps its answers until this handle writes",
        FiledStore,
        **_caching(_read, _writes, FiledStore),
    )
    if _read in {"present", "known", "newest"}:
        broken(
            f"{_read}__gives_away_its_cache",
            "gives the caller the very dictionary that it keeps",
            **_caching(_read, _writes, PlainStore, shares=True),
        )

_DEFAULTS: dict[str, Any] = {
    "path": None, "path_prefix": None, "md5": None, "namespace": None, "pod": None, "metadata": NO_METADATA,
    "since_ns": None, "until_ns": None, "latest": False, "order": Order.OLDEST_FIRST, "limit": 1000, "cursor": None,
}  # fmt: skip
for _read in ("references", "files"):
    for _field, _default in _DEFAULTS.items():
        if _read == "files" and _field == "order":
            continue
        broken(
            f"{_read}__cached_without_{_field}",
            f"keeps its answers until the next write, by a key that lacks {_field}",
            **_caching(
                _read,
                _WRITES[_read],
                PlainStore,
                forgets=lambda query, field=_field, default=_default: replace(query, **{field: default}),
            ),
        )
broken(
    "read__cached_without_offset",
    "keeps the first answer for each content, whatever the offset",
    **_caching("read", ("put", "discard"), PlainStore, forgets=lambda part: part if isinstance(part, bytes) else 0),
)
broken(
    "contents__cached_without_after",
    "keeps the first listing, whatever it began after",
    **_caching("contents", ("put", "discard"), PlainStore, forgets=lambda part: b""),
)
