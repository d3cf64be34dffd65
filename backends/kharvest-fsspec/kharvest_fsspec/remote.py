"""Objects on an object store, through its file system for fsspec."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fsspec.asyn import sync
from fsspec.spec import AbstractFileSystem

from kharvest.spi import Capability, StoreUnavailable
from kharvest_fsspec.bucket import Entry, Missing
from kharvest_fsspec.failures import is_past_the_end, told
from kharvest_fsspec.providers import Provider

_PATIENCE_SECONDS = 30.0


class ObjectBucket:
    """A `Bucket` on an object store that makes objects on condition that there is none of that name."""

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, files: AbstractFileSystem, root: str, provider: Provider) -> None:
        self._files = files
        self._root = root
        self._whole = provider.whole
        self._part_bytes = provider.part_bytes

    def get(self, name: str) -> bytes:
        with told(self._path(name)):
            data: bytes = self._call("cat_file", self._path(name), **self._whole)
            return data

    def get_some(self, names: Collection[str]) -> dict[str, bytes]:
        if not names:
            return {}
        paths = {self._path(name): name for name in names}
        with told("several objects"):
            found = self._files.cat(list(paths), on_error="return", **self._whole)
        data = {}
        for path, name in paths.items():
            answer = found[path]
            if isinstance(answer, Exception):
                with suppress(Missing), told(self._path(name)):
                    raise answer
            else:
                data[name] = answer
        return data

    def get_range(self, name: str, start: int, length: int) -> bytes:
        with told(self._path(name)):
            try:
                data: bytes = self._call("cat_file", self._path(name), start=start, end=start + length)
            except Exception as error:
                if is_past_the_end(error):
                    return b""
                raise
            return data

    def create(self, name: str, data: bytes) -> None:
        try:
            with told(self._path(name)):
                self._call("pipe_file", self._path(name), data, mode="create")
        except Missing:
            bucket = self._root.partition("/")[0]
            raise StoreUnavailable(f"there is no bucket {bucket}", "create it, or correct the URL") from None

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        left = iter(parts)
        start = bytearray()
        for part in left:
            start += part
            if len(start) >= self._part_bytes:
                self._stream(name, start, left)
                return
        with told(self._path(name)):
            self._call("pipe_file", self._path(name), bytes(start))

    def _stream(self, name: str, start: bytearray, left: Iterator[bytes]) -> None:
        with told(self._path(name)):
            file = self._files.open(self._path(name), "wb", block_size=self._part_bytes)
        try:
            with told(self._path(name)):
                file.write(start)
            start.clear()
            for part in left:
                with told(self._path(name)):
                    file.write(part)
            with told(self._path(name)):
                file.close()
        except BaseException:
            # Not told of: the error that led here is the one to tell of. What stays is invisible, and expires.
            with suppress(Exception):
                file.discard()
            file.closed = True  # or it would upload the rest when it is collected
            raise

    def remove(self, names: Collection[str]) -> None:
        with told("objects to remove"), suppress(FileNotFoundError):
            if names:
                self._files.rm([self._path(name) for name in names])

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        with told(self._path(folder)):
            found = self._files.find(self._path(folder), prefix=start, detail=True)
        return sorted(Entry(f"{folder}/{path.rpartition('/')[2]}", _modified_ns(info)) for path, info in found.items())

    def modified_ns(self, name: str) -> int:
        with told(self._path(name)):
            return _modified_ns(self._files.info(self._path(name)))

    def prepare(self) -> None:
        pass

    def is_empty(self) -> bool:
        try:
            with told(self._root):
                return not self._files.ls(self._root, detail=False)
        except Missing:
            return True

    def close(self) -> None:
        pass

    def _call(self, method: str, *arguments: object, **options: object) -> Any:
        """Call the file system for one small request, which is given up when it takes too long.

        Not every provider's library can be told for how long to try again. What goes on behind our back may still be
        done later: the log is made for that.
        """
        if self._files.async_impl:
            of_loop = getattr(self._files, f"_{method}")
            return sync(self._files.loop, of_loop, *arguments, timeout=_PATIENCE_SECONDS, **options)
        return getattr(self._files, method)(*arguments, **options)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


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
