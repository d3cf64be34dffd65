"""Harvest what is there, once: for init containers, Jobs and scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kharvest.client._config.client_config import ClientConfig
from kharvest.client._harvester import Harvester
from kharvest.client._send.connection import Trouble
from kharvest.client._status import Problem, Status

_TIMEOUT = "TIMEOUT"
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0
"""With a server that does nothing for us."""
_STATUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why harvesting ended before it was done: a reason for programs, and a message for people."""

    reason: str
    message: str

    @property
    def is_timeout(self) -> bool:
        """Whether the time was up though there was progress."""
        return self.reason == _TIMEOUT


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of harvesting once.

    Attributes:
        announced: files that were announced.
        acknowledged: of these, files that are durable at the server.
        uploaded: contents that had to be uploaded.
        uploaded_bytes: and their bytes.
        refused: files that the server refused.
        failures: the files that are not acknowledged as they are, and the directories that could not be searched, and
            why.
        given_up: why it ended before it was done; None if it was. Its `reason` is TIMEOUT where the time was up,
            UNAVAILABLE where the server did nothing for us for too long, else what the server refuses us for.
    """

    announced: int
    acknowledged: int
    uploaded: int
    uploaded_bytes: int
    refused: int
    failures: tuple[Problem, ...]
    given_up: GivenUp | None


def harvest_once(config: ClientConfig, timeout: float | None = None) -> Summary:
    """Announce the files that are there, wait until they are acknowledged, and return a summary.

    Files that are still being written are waited for as `settle_seconds` and `settle_max_seconds` say; one that does
    not rest by then is announced as it is, and is among the failures. A server that is away, or does nothing for us, is
    waited for 60 s.

    Args:
        config: what to harvest, and where to announce it.
        timeout: seconds after which it ends, whatever makes progress; None for as long as it takes.
    """
    started = time.monotonic()
    harvester = Harvester(config, watching=False)
    harvester.start()
    status: Status | None = None
    try:
        given_up = _wait(harvester, started, timeout)
        status = harvester.ask(harvester.status, _STATUS_SECONDS)
    except TimeoutError as error:  # of `ask`: a file system holds the harvesting thread
        given_up = GivenUp(_TIMEOUT, str(error))
    finally:
        harvester.stop()
    return Summary(
        announced=status.announced if status else 0,
        acknowledged=status.acknowledged if status else 0,
        uploaded=status.uploaded if status else 0,
        uploaded_bytes=status.uploaded_bytes if status else 0,
        refused=status.refused if status else 0,
        failures=status.problems if status else (),
        given_up=given_up,
    )


def _wait(harvester: Harvester, started: float, timeout: float | None) -> GivenUp | None:
    """Wait until all is done, as far as it can be. Why it is not waited for any longer, or None."""
    patience = _PATIENCE_SECONDS if timeout is None else min(timeout, _PATIENCE_SECONDS)
    done = harvester.ask(harvester.look_around, timeout)
    while not done.wait(_LOOK_SECONDS):
        failure = harvester.failure
        if failure is not None and failure.trouble is Trouble.REFUSED:
            return GivenUp(failure.reason, failure.message)
        now = time.monotonic()
        if now - harvester.heard_at > patience and not harvester.is_reading:
            said = f": {failure.message} ({failure.reason})" if failure is not None else ""
            return GivenUp("UNAVAILABLE", f"no progress for {patience:g} s{said}")
        if timeout is not None and now - started > timeout:
            return GivenUp(_TIMEOUT, f"not done within {timeout:g} s")
    return None
