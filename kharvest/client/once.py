"""Harvest what is there, once: for init containers, Jobs and scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kharvest.client.config import ClientConfig
from kharvest.client.connection import Trouble
from kharvest.client.harvester import Harvester
from kharvest.client.status import Problem

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a server is not waited for: a reason for programs, and words for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of harvesting once.

    Attributes:
        announced: files that were announced.
        acknowledged: of these, files that are durable at the server.
        uploaded: contents that had to be uploaded.
        uploaded_bytes: and their bytes.
        refused: files that the server refused.
        failures: the files that are not acknowledged, and why.
        given_up: why the server was not waited for any longer; None if that did not happen. Its `reason` is UNAVAILABLE
            where it did nothing for us in time, else what it refuses us for.
    """

    announced: int
    acknowledged: int
    uploaded: int
    uploaded_bytes: int
    refused: int
    failures: tuple[Problem, ...]
    given_up: GivenUp | None


def harvest_once(config: ClientConfig, timeout: float) -> Summary:
    """Announce the files that are there, wait until they are acknowledged, and tell what came of it.

    Files that are still being written are waited for as `settle_seconds` and `settle_max_seconds` say. A server that is
    away, or does nothing for us, is waited for `timeout` seconds; one that makes progress, as long as it takes.
    """
    harvester = Harvester(config, watching=False)
    harvester.start()
    try:
        given_up = _wait(harvester, timeout)
        status = harvester.ask(harvester.status)
    finally:
        harvester.stop()
    return Summary(
        announced=status.announced,
        acknowledged=status.acknowledged,
        uploaded=status.uploaded,
        uploaded_bytes=status.uploaded_bytes,
        refused=status.refused,
        failures=status.problems,
        given_up=given_up,
    )


def _wait(harvester: Harvester, timeout: float) -> GivenUp | None:
    """Wait until all is done, as far as it can be. Why the server cannot be waited for any longer, or None."""
    done = harvester.ask(harvester.look_around)
    link = harvester.link
    while not done.wait(_LOOK_SECONDS):
        failure = link.failure
        if failure is not None and failure.trouble is Trouble.REFUSED:
            return GivenUp(failure.reason, failure.message)
        if time.monotonic() - link.heard_at > timeout:
            said = f": {failure.message} ({failure.reason})" if failure is not None else ""
            return GivenUp("UNAVAILABLE", f"no progress for {timeout:g} s{said}")
    return None
