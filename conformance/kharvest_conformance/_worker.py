"""Other processes that work on the same data, and can be killed at any moment: the child's side."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import socket
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from kharvest.spi import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from kharvest_conformance._tasks import Task
    from kharvest_conformance.harness import Harness

    Send = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the nursery is to load: what a worker has loaded by opening a store, as far as it is there."""

    path: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """Which store to open: a pickled harness, the module of its class, and an address."""

    path: tuple[str, ...]
    module: str
    file: str | None
    harness: bytes
    address: str


CLOSE: Final = None
"""What is sent in place of a task, when no more will come for this store."""


HEAD_BYTES: Final = 4
"""The length of a preparation, in front of it. With two descriptors it is 0: a worker is to be forked for them."""


def main(control: int) -> None:
    """Be the nursery: load what the parent says, and fork workers, until it ends.

    A worker gets two pipes, for requests and reports. It is forked from a process that has opened no store and has one
    thread. Where a module starts another one, a worker is a new program, which has to load everything. No worker is
    waited for before the end: until then its number is of no other process, and the parent may kill it by that.
    """
    os.dup2(2, 1)  # what a driver prints goes where errors go
    with socket.socket(fileno=control) as parent:
        while True:
            head, pipes, _flags, _address = socket.recv_fds(parent, HEAD_BYTES, 2)
            if not head:
                with contextlib.suppress(ChildProcessError):  # there is no other
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                return
            if not pipes:
                _prepare(pickle.loads(parent.recv(int.from_bytes(head), socket.MSG_WAITALL)))  # noqa: S301  our own
                continue
            has_threads = len([*Path("/proc/self/task").iterdir()]) > 1
            child = os.fork()
            if child == 0:
                os.setpgid(0, 0)
                parent.close()
                _begin(*pipes, anew=has_threads)
            with contextlib.suppress(PermissionError, ProcessLookupError):  # it was faster
                os.setpgid(child, child)
            for pipe in pipes:
                os.close(pipe)
            parent.sendall(child.to_bytes(HEAD_BYTES))


def _begin(requests: int, reports: int, *, anew: bool) -> NoReturn:
    """Be a worker in a process that was just forked; or, `anew`, in a new program in its place."""
    try:
        if anew:
            for pipe in (requests, reports):
                os.set_inheritable(pipe, True)
            program = f"from kharvest_conformance._worker import work; work({requests}, {reports})"
            os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606  our own interpreter and module
        work(requests, reports)
        os._exit(0)
    finally:
        os._exit(1)


def work(requests: int, reports: int) -> None:
    """Open the stores that the parent names, one after the other, and do the tasks that it sends."""
    with os.fdopen(requests, "rb") as asked, os.fdopen(reports, "wb") as told:

        def send(kind: str, value: object) -> None:
            pickle.dump((kind, value), told)
            told.flush()

        try:
            while True:
                _work(asked, send)
        except EOFError:
            pass
        except Unsupported as error:
            send("unsupported", str(error))
        except Exception:  # noqa: BLE001  # the outermost loop of this process; the parent raises it
            send("error", traceback.format_exc())


def _prepare(preparation: Preparation) -> None:
    sys.path[:] = preparation.path
    for module in preparation.modules:
        if module not in sys.modules:
            with contextlib.suppress(Exception):  # whoever needs it raises that again
                import_module(module)


def _work(asked: BinaryIO, send: Send) -> None:
    """Open a store and do tasks on it until it is to be closed.

    Raises:
        EOFError: the parent has ended.
    """
    opening: Opening = pickle.load(asked)  # noqa: S301  # our own parent
    sys.path[:] = opening.path
    _load(opening.module, opening.file)
    opener: Harness = pickle.loads(opening.harness)  # noqa: S301  # our own parent
    with contextlib.closing(opener.open(opening.address)) as store:
        send("ready", tuple(sys.modules))
        while True:
            task: Task | None = pickle.load(asked)  # noqa: S301
            if task is CLOSE:
                break
            send("answer", task.run(store, lambda value: send("progress", value)))
    send("closed", None)


def _load(module: str, file: str | None) -> None:
    """Import the harness's module, also when it is a test file that only pytest knows how to import."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}.") or file is None:
            raise
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
