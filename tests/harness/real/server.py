"""What every real server under test has in common."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_TAIL = 3000
_PORTS = range(10_000, 32_768)
"""Below the ports that Linux gives out, and above those that services commonly have."""


class CannotRun(Exception):
    """A server cannot run on this machine; the message says what is missing and how to get it."""


class RealServer(ABC):
    """A server that holds stores: one of our own in a process beside the tests, or one that is there already.

    Attributes:
        kind: names it in the ids of tests.
    """

    kind: ClassVar[str]

    @abstractmethod
    def start(self) -> None:
        """Start it, or start it again on the same port with the same data; return when it answers.

        Raises:
            CannotRun: this machine has no such server.
        """

    @abstractmethod
    def stop(self) -> None:
        """Make it go away at once, as a crash does; its data stays."""

    @abstractmethod
    def place(self) -> AbstractContextManager[str]:
        """The URL of a new, empty place for one store, credentials included; removed afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Stop it and remove its data."""

    @contextmanager
    def away(self) -> Iterator[None]:
        """A time in which the server is not there; afterwards it is again."""
        self.stop()
        try:
            yield
        finally:
            self.start()


class OwnServer(RealServer):
    """A server of our own: a process on a free port of the loopback interface, its data in a temporary folder."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"kharvest-{self.kind}-"))
        self._log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves; called until it does. No errors of a server that is not up yet are raised."""

    def start(self) -> None:
        self._process = self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not come up:\n{self._log.read_text()[-LOG_TAIL:]}")
            time.sleep(0.02)

    @contextmanager
    def launched(self) -> Iterator[None]:
        """A time in which its process runs, whether it serves or not."""
        self._process = self.launch()
        try:
            yield
        finally:
            self.stop()

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start its process."""

    def stop(self) -> None:
        if self._process is not None:
            self.end(self._process)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Have the process end at once."""
        process.kill()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def run(self, command: Sequence[str | Path], **options: str | int | None) -> None:
        """A command that prepares the server; it must succeed."""
        with self._log.open("ab") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, check=False, timeout=START_SECONDS, **options)  # type: ignore[call-overload]
        if ended.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{self._log.read_text()[-LOG_TAIL:]}")

    def spawn(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None, user: str | None = None
    ) -> subprocess.Popen[bytes]:
        """The process, its output in a log beside its data. The interrupt of the tests' terminal passes it by."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                user=user,
                start_new_session=True,
            )


class GivenServer(RealServer):
    """A server that is there already, a user's or the machine's: it is never stopped.

    Attributes:
        variable: the environment variable that names a user's.
    """

    variable: ClassVar[str]

    def stop(self) -> None:
        raise AssertionError("a server that is not ours is not stopped: take one of our own for this test")

    def close(self) -> None:
        """Nothing: it is not ours."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on.

    The system gives none of these to anybody who asks for any port: so it stays free while its server is down.
    """
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback interface."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
