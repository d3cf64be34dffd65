"""Servers under test."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from kharvest.server import Server, ServerConfig

START_SECONDS = 30.0


class ServerThread:
    """A server of this process, on an event loop in a thread of its own, on a free port."""

    def __init__(self, store: str, listen: str = "127.0.0.1:0", **settings: float | str) -> None:
        self._config = ServerConfig(store=store, listen=listen, **settings)  # type: ignore[arg-type]
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server")
        self.server = Server(self._config)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_SECONDS), "the server did not start"
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def original_address(self) -> str:
        return f"127.0.0.1:{self.server.original_port}"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def metric(self, name: str, **labels: str) -> float:
        return self.server.metrics.registry.get_sample_value(name, labels) or 0.0

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        try:
            async with self.server:
                self._started.set()
                await self._stopped.wait()
        except BaseException as error:
            if self._started.is_set():
                raise
            self._failure = error
            self._started.set()


class ServerProcess:
    """`kharvest server` in a process of its own, which tests may kill."""

    def __init__(self, store: str, *arguments: str, listen: str = "127.0.0.1:0", log: Path | None = None) -> None:
        self.stderr: IO[bytes] | None = log.open("ab") if log else None
        environment = {**os.environ, "KHARVEST_STORE": store}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kharvest", "server", "--listen", listen, *arguments],
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            code = self.process.wait(START_SECONDS)
            self._close()
            raise RuntimeError(f"the server did not start; it exited with {code}")
        self.address = line.removeprefix("listening on ").strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(START_SECONDS)
        finally:
            self._close()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(START_SECONDS)
        self._close()

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Resident memory now, or the most it ever was (`VmRSS` and `VmHWM` of proc(5))."""
        return resident_bytes(self.process.pid, peak=peak)

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.stderr is not None:
            self.stderr.close()


def resident_bytes(pid: int, *, peak: bool = False) -> int:
    """Resident memory of a process now, or the most it ever was (`VmRSS` and `VmHWM` of proc(5))."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(wanted):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {wanted} of process {pid}")
