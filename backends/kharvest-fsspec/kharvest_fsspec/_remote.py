"""Objects on an object store, through its file system for fsspec."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from fsspec.asyn import FSTimeoutError, sync
from fsspec.spec import AbstractFileSystem

from kharvest.spi import Capability, StoreDenied, StoreUnavailable
from kharvest.spi.pieces import bytes_of
from kharvest.spi.room import Allotment, unlimited
from kharvest_fsspec import _marker as marker
from kharvest_fsspec._address import NO_SECRETS, Secrets
from kharvest_fsspec._bucket import Entry, Missing
from kharvest_fsspec._failures import CredentialsRefused, is_past_the_end, told
from kharvest_fsspec._patience import LISTING_SECONDS, PART_SECONDS, REQUEST_SECONDS, TookTooLong, within
from kharvest_fsspec._providers import Provider

_CLOCK = "kharvest-clock"
_CLOCK_SAYS = b"When this object was last modified tells kharvest what time it is here.\n"
_REMOVED_AT_ONCE = 1000
_DISCARD_SECONDS = 1.0


class ObjectBucket:
    """A `Bucket` on an object store that makes objects on condition that there is none of that name.

    Every request ends in bounded time. Once it is prepared, it knows the marker of its store, and reads it again beside
    everything that would otherwise look the same in an empty bucket: so nobody is told that something is recorded in a
    bucket that was emptied, or made anew, while the store was open.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, files: AbstractFileSystem, root: str, provider: Provider, secrets: Secrets = NO_SECRETS) -> None:
        self._files = files
        self._root = root
        self._provider = provider
        self._part_bytes = provider.part_bytes
        self._secrets = secrets
        self._marker: bytes | None = None

    def prepare(self) -> None:
        """Remember which store is here."""
        self._marker = self.get(marker.NAME)

    def get(self, name: str) -> bytes:
        found = self._cat([name] if self._marker is None else [name, marker.NAME])
        self._check_marker(found.get(marker.NAME))
        if name not in found:
            raise Missing(name)
        return found[name]

    def get_some(self, names: Collection[str]) -> dict[str, bytes]:
        return self._cat(names) if names else {}

    def _cat(self, names: Collection[str]) -> dict[str, bytes]:
        """The bytes of those objects that are there, all asked for at once."""
        whole = self._provider.whole

        async def read_all() -> list[Any]:
            reads = (self._files._cat_file(self._path(name), **whole) for name in names)  # noqa: SLF001  as `_call`
            return await asyncio.gather(*reads, return_exceptions=True)

        with self._told(self._path(next(iter(names)))):
            if self._files.async_impl:
                answers = self._run(REQUEST_SECONDS, read_all)
            else:
                answers = [self._answer(name) for name in names]
        data = {}
        for name, answer in zip(names, answers, strict=True):
            with suppress(Missing), self._told(self._path(name)):
                data[name] = _raise(answer)
        return data

    def _answer(self, name: str) -> Any:
        try:
            return self._call("cat_file", self._path(name))
        except FileNotFoundError as error:
            return error

    def get_range(self, name: str, start: int, length: int) -> bytes:
        with self._told(self._path(name)):
            try:
                data: bytes = self._call("cat_file", self._path(name), start=start, end=start + length)
            except Exception as error:
                if is_past_the_end(error):
                    return b""
                raise
            return data

    def create(self, name: str, data: bytes) -> None:
        is_there: bytes | None = None

        async def create() -> Sequence[Any]:
            made = self._files._pipe_file(self._path(name), data, mode="create")  # noqa: SLF001  as `_call`
            looked = self._files._cat_file(self._path(marker.NAME))  # noqa: SLF001
            return await asyncio.gather(made, looked, return_exceptions=True)

        with self._told(self._path(name)):
            made, looked = self._run(REQUEST_SECONDS, create)
        try:
            with self._told(self._path(name)):
                _raise(made)
        except Missing:
            bucket = self._root.partition("/")[0]
            raise StoreDenied(f"there is no bucket {bucket}", "create it, or correct the URL") from None
        if self._marker is None:
            return
        with suppress(Missing), self._told(self._path(marker.NAME)):
            is_there = _raise(looked)
        try:
            self._check_marker(is_there)
        except StoreUnavailable:
            self.remove([name])  # it is of no store, or of another one
            raise

    def _check_marker(self, data: bytes | None) -> None:
        if self._marker is not None and data != self._marker:
            what = "is no store any more" if data is None else "is another store now"
            reason = f"at {self._secrets.hide(self._root)} there {what}: it was removed or replaced while it was open"
            raise StoreUnavailable(reason, "restore it, or restart the server to go on with what is there now")

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        pieces = bytes_of(self._part_bytes, parts)
        first = next(pieces, b"")
        if len(first) == self._part_bytes:
            self._stream(name, chain([first], pieces))
        else:
            with self._told(self._path(name)):
                self._call("pipe_file", self._path(name), first, seconds=PART_SECONDS)

    def _stream(self, name: str, parts: Iterable[bytes]) -> None:
        """Upload part by part, each within a time: so an upload may take long, but not stand still."""
        path = self._path(name)

        def step(work: Callable[[], Any]) -> Any:
            with self._told(path):
                return within(PART_SECONDS, work)

        file = step(lambda: self._files.open(path, "wb", block_size=self._part_bytes))
        try:
            for part in parts:
                step(partial(file.write, part))
            step(file.close)
        except BaseException:
            # Not told of: the error that led here is the one to tell of. What stays is invisible, and expires.
            with suppress(Exception):
                within(_DISCARD_SECONDS, file.discard)
            file.closed = True  # or it would upload the rest when it is collected
            raise

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        return unlimited(wanted)

    def spare_room(self) -> AbstractContextManager[None]:
        return nullcontext()

    def remove(self, names: Collection[str]) -> None:
        paths = [self._path(name) for name in names]
        for first in range(0, len(paths), _REMOVED_AT_ONCE):
            with self._told("objects to remove"), suppress(FileNotFoundError):
                self._call("rm", paths[first : first + _REMOVED_AT_ONCE], seconds=LISTING_SECONDS)

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        with self._told(self._path(folder)):
            found = self._call("find", self._path(folder), prefix=start, detail=True, seconds=LISTING_SECONDS)
        return sorted(Entry(f"{folder}/{path.rpartition('/')[2]}", _modified_ns(info)) for path, info in found.items())

    def modified_ns(self, name: str) -> int:
        with self._told(self._path(name)):
            return _modified_ns(self._call("info", self._path(name)))

    def now_ns(self) -> int:
        # The one object that is written again and again. Whoever writes it between our two requests makes it no older.
        with self._told(self._path(_CLOCK)):
            self._call("pipe_file", self._path(_CLOCK), _CLOCK_SAYS)
        return self.modified_ns(_CLOCK)

    def is_empty(self) -> bool:
        try:
            with self._told(self._root):
                return not self._call("ls", self._root, detail=False)
        except Missing:
            return True

    def close(self) -> None:
        pass

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            with told(what, self._secrets):
                yield
        except CredentialsRefused:
            self._renew()
            raise

    def _renew(self) -> None:
        """Have the next request read the credentials anew: those that expired may have been replaced."""
        if self._provider.renew is not None:
            with suppress(Exception):  # the error that led here is the one to tell of
                self._run(REQUEST_SECONDS, lambda: self._provider.renew(self._files))  # type: ignore[misc]

    def _call(self, method: str, *arguments: object, seconds: float = REQUEST_SECONDS, **options: object) -> Any:
        """Call the file system, and give it up when it takes too long.

        Not every provider's library can be told for how long to try again. What goes on behind our back may still be
        done later: the log is made for that.
        """
        of_loop = getattr(self._files, f"_{method}", None) if self._files.async_impl else None
        if of_loop is not None:
            return self._run(seconds, lambda: of_loop(*arguments, **options))
        return within(seconds, lambda: getattr(self._files, method)(*arguments, **options))

    def _run(self, seconds: float, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return sync(self._files.loop, begin, timeout=seconds)
        except FSTimeoutError:
            raise TookTooLong(seconds) from None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _raise(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _modified_ns(info: Mapping[str, Any]) -> int:
    """When an object was last modified, as its file system tells it, each in its own words; 0 if it does not tell."""
    for name in ("LastModified", "last_modified", "updated", "mtime", "modified", "created", "creation_time"):
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    return 0
