"""Objects as files below a directory of this machine, or of a file system that several machines have mounted."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from kharvest.spi import Capability, StoreFull, StoreUnavailable, Unsupported
from kharvest.spi.disks import OpenFiles, told_as
from kharvest.spi.room import Allotment, Promises, Reserve, most_log_bytes, require_room
from kharvest_fsspec import _marker as marker
from kharvest_fsspec._bucket import Entry, Exists, Missing

_UPLOADS = "uploads"
_FOLDERS = frozenset({_UPLOADS, "log", "contents", "checkpoints"})
_RESERVE = "kharvest-reserve"
_RESERVE_BYTES = 4 * 2**20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


class LocalBucket:
    """A `Bucket` in a directory, by what the system promises.

    A file is written under a name in `uploads/`, synced, and then linked to its own name, which fails if that is taken:
    so it is never seen in part, and of several who try, one wins. Who writes a file in `uploads/` holds a lock on it
    until it is linked: what is there without one is left over from a killed process.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, root: Path) -> None:
        self._root = root
        self._promises = Promises()
        self._reserve = Reserve(root / _RESERVE, min(_RESERVE_BYTES, most_log_bytes(root)))
        self._files = OpenFiles()
        self._marker: int | None = None

    def prepare(self) -> None:
        """See to it that this user may write here, and remove what killed processes left.

        From here on the marker is held open: the directory is this store as long as its path leads to that very file.
        """
        with self._told(marker.NAME):
            self._marker = os.open(self._root / marker.NAME, os.O_RDONLY | os.O_CLOEXEC)
            self._files.watch(self._root / marker.NAME)
        try:
            self._look()
        except StoreFull:
            with self._reserve.given_up():
                self._look()
        self._reserve.hold()

    def _look(self) -> None:
        with self._upload():
            pass
        with self._told(_UPLOADS):
            for path in (self._root / _UPLOADS).iterdir():
                with suppress(FileNotFoundError):
                    _remove_if_left(path)

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        return self._promises.promise(wanted, self._require_room)

    def _require_room(self, promised: int) -> None:
        with self._told("room"):
            self._reserve.hold()
            kept = most_log_bytes(self._root) + self._reserve.missing()
            require_room(self._root / "contents", promised, kept)

    def spare_room(self) -> AbstractContextManager[None]:
        return self._reserve.given_up()

    def get(self, name: str) -> bytes:
        with self._told(name):
            return (self._root / name).read_bytes()

    def get_some(self, names: Collection[str]) -> dict[str, bytes]:
        found = {}
        for name in names:
            with suppress(Missing):
                found[name] = self.get(name)
        return found

    def get_range(self, name: str, start: int, length: int) -> bytes:
        with self._told(name), (self._root / name).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, start)

    def create(self, name: str, data: bytes) -> None:
        if (self._root / name).exists():  # linking would find out too, but later
            raise Exists(name)
        with self._upload() as (descriptor, path):
            with self._told(name):
                _write(descriptor, data)
            self._publish(descriptor, path, name)

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        with self._upload() as (descriptor, path):
            for part in parts:
                with self._told(name):
                    _write(descriptor, part)
            self._publish(descriptor, path, name)

    @contextmanager
    def _upload(self) -> Iterator[tuple[int, Path]]:
        """A new file that nobody else sees, removed in the end."""
        with self._told(_UPLOADS):
            descriptor, path = self._begin()
        try:
            yield descriptor, path
        finally:
            with self._told(_UPLOADS), suppress(FileNotFoundError):
                path.unlink()
            os.close(descriptor)

    def _begin(self) -> tuple[int, Path]:
        self._make_folder(self._root / _UPLOADS)
        while True:
            path = self._root / _UPLOADS / secrets.token_hex(8)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, path
            os.close(descriptor)  # somebody who opened the store took it for a leftover, before we had the lock

    def _publish(self, descriptor: int, path: Path, name: str) -> None:
        target = self._root / name
        with self._told(name):
            os.fsync(descriptor)
            self._make_folder(target.parent)
            try:
                os.link(path, target)
            except FileExistsError:
                raise Exists(name) from None
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise Unsupported(
                        "making a file exclusively", "name a directory on a file system with links"
                    ) from error
                raise
            _sync_folder(target.parent)
        self._files.check()  # what is in a directory that nobody finds again is not acknowledged

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir()
        except FileExistsError:
            return
        _sync_folder(folder.parent)

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            with self._told(name), suppress(FileNotFoundError):
                (self._root / name).unlink()

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        listed = []
        with self._told(folder), suppress(FileNotFoundError), os.scandir(self._root / folder) as found:
            for one in found:
                if one.name.startswith(start):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        listed.append(Entry(f"{folder}/{one.name}", one.stat().st_ctime_ns))
        return sorted(listed)

    def modified_ns(self, name: str) -> int:
        # The time of the last change of the inode: linking it to its name was one, whenever its bytes were written.
        with self._told(name):
            return (self._root / name).stat().st_ctime_ns

    def now_ns(self) -> int:
        # A file that was just made has the time of whoever keeps the directory, a file server's too.
        with self._upload() as (descriptor, _path), self._told(_UPLOADS):
            return os.fstat(descriptor).st_ctime_ns

    def is_empty(self) -> bool:
        with self._told(self._root):
            # Folders of ours with nothing in them are what another process made just before it makes the marker.
            return all(
                path.name in _FOLDERS and path.is_dir() and (path.name == _UPLOADS or not any(path.iterdir()))
                for path in self._root.iterdir()
            )

    def close(self) -> None:
        if self._marker is not None:
            os.close(self._marker)
            self._marker = None
            self._files = OpenFiles()

    @contextmanager
    def _told(self, what: object) -> Iterator[None]:
        self._files.check()
        try:
            yield
        except FileNotFoundError:
            if not self._root.is_dir():
                raise StoreUnavailable(f"the directory {self._root} is not there", "mount or restore it") from None
            raise Missing(str(what)) from None
        except OSError as error:
            raise told_as(error, self._root, str(what)) from error


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
