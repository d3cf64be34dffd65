"""The client, embedded in a program."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import ClassVar, Self

from kharvest.client._config.client_config import ClientConfig
from kharvest.client._config.loading import ConfigSource
from kharvest.client._errors import ForkedError
from kharvest.client._harvester import Harvester
from kharvest.client._status import Status
from kharvest.client._threads import wait_until

_STATUS_SECONDS = 5.0


class Client:
    """Watches files and brings what they hold to a server, on threads of its own; a context manager.

    After `start` nothing of what happens to files, server or network is raised into the program: it is logged
    (`logging.getLogger("kharvest.client")`) and in `status`. It touches nothing global: no signal handlers, no
    logging configuration. A fork copies neither threads nor connections: in a child, everything but `close` raises
    `ForkedError`.
    """

    _process: ClassVar[int | None] = None  # where gRPC was first used by us: what a fork cannot carry over

    def __init__(self, config: ClientConfig | ConfigSource) -> None:
        """Take the configuration, or where it comes from: then changes of it are taken over while the client runs.

        Raises:
            ConfigurationError: the configuration cannot be used.
        """
        self._source = None if isinstance(config, ClientConfig) else config
        self.config = config if isinstance(config, ClientConfig) else config.load()
        self._harvester: Harvester | None = None
        self._is_closing = False
        self._is_closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch and announce. Returns at once; the server may be away.

        Raises:
            ForkedError: this process is a child of one that has started a client.
            RuntimeError: it was started before.
        """
        with self._lock:
            if self._harvester is not None:
                raise RuntimeError("a client starts once; make another one")
            if Client._process is None:
                Client._process = os.getpid()
            self._require_same_process()
            self._harvester = Harvester(self.config, self._source, watching=True)
            self._harvester.start()

    def flush(self, timeout: float) -> bool:
        """Look at every path now, and wait until all that is there is acknowledged.

        Returns:
            Whether it is; False after `timeout` seconds, or where a file cannot be read or is refused.
        """
        deadline = time.monotonic() + timeout
        harvester = self._started()
        try:
            done = harvester.ask(harvester.look_around, timeout)
            if not wait_until(done.wait, deadline - time.monotonic()):
                harvester.withdraw(done)
                return False
            return all(problem.reason == "NO_SUCH_FILE" for problem in self.status().problems)
        except TimeoutError:
            return False

    def status(self) -> Status:
        """How things are now.

        Raises:
            TimeoutError: the harvesting thread did not answer within 5 s: a file system may hold it.
        """
        harvester = self._started()
        return harvester.ask(harvester.status, _STATUS_SECONDS)

    def close(self, timeout: float | None = None) -> bool:
        """Watch no longer, bring what is pending to the server, and end all threads. Closing twice is allowed.

        Args:
            timeout: seconds to wait for what is pending; `config.grace_seconds` if None.

        Returns:
            Whether everything that was there is acknowledged.
        """
        with self._lock:
            harvester = self._harvester
            if harvester is None or self._is_closing or Client._process != os.getpid():
                return True
            self._is_closing = True  # it still has a status, until it has ended
        grace = self.config.grace_seconds if timeout is None else timeout
        deadline = time.monotonic() + grace
        try:
            harvester.ask(lambda: harvester.stop_watching(grace / 2), grace)
            done = harvester.ask(harvester.look_around, max(0.0, deadline - time.monotonic()))
            return wait_until(done.wait, deadline - time.monotonic())
        except TimeoutError:
            return False
        finally:
            harvester.stop()
            self._is_closed = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> Harvester:
        self._require_same_process()
        harvester = self._harvester
        if harvester is None or self._is_closed:
            raise RuntimeError("the client is not running; start it first")
        return harvester

    def _require_same_process(self) -> None:
        if Client._process is not None and Client._process != os.getpid():
            raise ForkedError(Client._process)
