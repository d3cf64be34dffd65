"""Elects, for each content that the store lacks, the one pod that uploads it, and lets the others wait.

An election is named by the content's MD5: all that clients of both protocols know. Two contents with one MD5 therefore
upload one after the other, which costs nobody but those who make collisions.

::

    (nobody) ──elect──▶ CLAIMING ──claimed──▶ ASKED ──begin──▶ UPLOADING ──┬─▶ ended: those who wait look again
                           │                    └─ asked too long ago ──────┤
                           └─ another server has it ─▶ ELSEWHERE ─ poll ────┘

An election ends in one way only: it is removed and everybody who waits for it is woken. Whoever still misses the
content then stands for the next election. So success, failure, silence and other servers need no separate paths.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from concurrent.futures import Executor
from contextlib import suppress
from enum import Enum

from kharvest.server.clock import Clock
from kharvest.server.config import ServerConfig
from kharvest.server.errors import NotAsked
from kharvest.spi import KharvestError, Pod, Signature, Store

logger = logging.getLogger(__name__)

PATROL_SECONDS = 0.1
"""How often elections are checked for having run out of time, while there are any."""


class Phase(Enum):
    """How far an election has come."""

    CLAIMING = "claiming"
    ASKED = "asked"
    UPLOADING = "uploading"
    ELSEWHERE = "elsewhere"


class Election:
    """One content that the store lacks, and the pod that is to upload it."""

    __slots__ = ("deadline", "key", "lease_deadline", "path", "phase", "pod", "waiting")

    def __init__(self, key: bytes, pod: Pod, path: str) -> None:
        self.key = key
        self.pod = pod
        self.path = path
        self.phase = Phase.CLAIMING
        self.deadline = float("inf")  # on the loop's clock: when the phase has lasted too long
        self.lease_deadline = float("inf")  # on the loop's clock: when the claim must have been extended
        self.waiting: set[asyncio.Event] = set()


class Elections:
    """All elections of this server. Used on one event loop, which owns them.

    The claim in the store, held in the name of the pod, makes an election unique over all servers of the store; a pod
    that was asked before a restart, or by another server, is asked again when it announces again.
    """

    def __init__(self, store: Store, executor: Executor, clock: Clock, config: ServerConfig) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._config = config
        self._running: dict[bytes, Election] = {}
        self._to_release: dict[str, set[bytes]] = {}
        self._busy = asyncio.Event()
        self._patrol: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the patrol, which ends what has run out of time; `close` stops it."""
        self._patrol = asyncio.create_task(self._watch(), name="elections")

    async def close(self) -> None:
        """End all elections, and their claims, so that other servers can ask at once."""
        if self._patrol is not None:
            self._patrol.cancel()
            with suppress(asyncio.CancelledError):
                await self._patrol
        for election in list(self._running.values()):
            self._end(election)
        await self._release()

    async def elect(self, pod: Pod, signatures: Collection[Signature], ask_seconds: float) -> set[Signature]:
        """Those of the signatures whose content `pod` is to upload now.

        That is where nobody else uploads it, and where it was asked for this very path before: the reply may have
        been lost. Of two signatures with one content, it is asked for one.

        Raises:
            StoreError: the claims failed; nobody was asked.
        """
        asked = set()
        candidates = []
        for signature in signatures:
            running = self._running.get(signature.md5)
            if running is None:
                running = self._running[signature.md5] = Election(signature.md5, pod, signature.path)
                candidates.append(running)
            elif running.phase is Phase.ASKED and running.pod == pod and running.path == signature.path:
                asked.add(signature)
        if candidates:
            asked |= await self._claim(pod, candidates, ask_seconds)
        return asked

    async def wait(self, signatures: Collection[Signature], seconds: float) -> bool:
        """Wait until one of the elections for these has ended, at most so long; whether one has."""
        woken = asyncio.Event()
        elections = [self._running.get(signature.md5) for signature in signatures]
        if None in elections:
            return True
        for election in elections:
            if election is not None:
                election.waiting.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            for election in elections:
                if election is not None:
                    election.waiting.discard(woken)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for election in self._running.values():
            for event in election.waiting:
                event.set()

    def begin(self, pod: Pod, signature: Signature) -> Election:
        """The election for which `pod` now begins to upload.

        Raises:
            NotAsked: it was not asked, or not any more.
        """
        election = self._running.get(signature.md5)
        if election is None or election.phase is not Phase.ASKED or election.pod != pod:
            raise NotAsked(signature.path)
        election.phase = Phase.UPLOADING
        self.progress(election)
        return election

    def progress(self, election: Election) -> None:
        """The upload made progress: it may go on."""
        election.deadline = asyncio.get_running_loop().time() + self._config.stall_seconds

    def arrived(self, election: Election) -> None:
        """All of the content is here: how long the store takes is not the pod's fault."""
        election.deadline = float("inf")

    def is_running(self, election: Election) -> bool:
        """Whether the election has not ended."""
        return self._running.get(election.key) is election

    def end(self, election: Election) -> None:
        """The upload is over, well or not; ending twice is allowed."""
        if self.is_running(election):
            self._end(election)

    def give_up(self, pod: Pod) -> None:
        """The pod is gone, or stands still: end whatever it was asked for and has not begun."""
        for election in list(self._running.values()):
            if election.pod == pod and election.phase is Phase.ASKED:
                self._end(election)

    def end_any(self, key: bytes) -> None:
        """The content with this MD5 arrived by another way."""
        election = self._running.get(key)
        if election is not None:
            self._end(election)

    def _end(self, election: Election) -> None:
        del self._running[election.key]
        if election.phase is not Phase.ELSEWHERE:
            # CLAIMING too: the claim may have been made without our hearing of it.
            self._to_release.setdefault(str(election.pod), set()).add(election.key)
            self._busy.set()
        for event in election.waiting:
            event.set()

    async def _claim(self, pod: Pod, candidates: list[Election], ask_seconds: float) -> set[Signature]:
        loop = asyncio.get_running_loop()
        keys = {election.key for election in candidates}
        lease_seconds = max(self._config.lease_seconds, ask_seconds)
        try:
            await self._release()  # what just ended must not stand in the way of whoever comes next
            won = await self._extend(keys, str(pod), lease_seconds)
        except BaseException:
            for election in candidates:
                self.end(election)
            raise
        asked = set()
        for election in candidates:
            if not self.is_running(election):  # the content came by another way meanwhile
                continue
            if election.key in won:
                asked.add(Signature(election.path, election.key))
                election.phase = Phase.ASKED
                election.deadline = loop.time() + ask_seconds
                election.lease_deadline = loop.time() + lease_seconds
            else:
                election.phase = Phase.ELSEWHERE
                election.deadline = loop.time() + self._config.poll_seconds
        self._busy.set()
        return asked

    async def _extend(self, keys: Collection[bytes], holder: str, seconds: float) -> set[bytes]:
        now = self._clock.now_ns()
        until = now + int(seconds * 1e9)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._store.claim, keys, holder, now, until)

    async def _release(self) -> None:
        """End the claims of elections that have ended."""
        loop = asyncio.get_running_loop()
        while self._to_release:
            holder, keys = self._to_release.popitem()
            with suppress(KharvestError):  # the guard has counted and logged it; the lease ends by itself
                await loop.run_in_executor(self._executor, self._store.release, keys, holder)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._busy.wait()
            await asyncio.sleep(PATROL_SECONDS)
            now = loop.time()
            for election in list(self._running.values()):
                if election.deadline <= now:
                    self.end(election)
                    if election.phase is not Phase.ELSEWHERE:
                        logger.warning("%s did not upload %s in time", election.pod, election.path)
                        self.give_up(election.pod)
            await self._keep_leases(now)
            await self._release()
            if not self._running and not self._to_release:
                self._busy.clear()

    async def _keep_leases(self, now: float) -> None:
        """Extend the claims of uploads that go on, when two thirds of their time are over."""
        due = now + self._config.lease_seconds / 3
        by_pod: dict[Pod, list[Election]] = {}
        for election in self._running.values():
            if election.phase is Phase.UPLOADING and election.lease_deadline <= due:
                by_pod.setdefault(election.pod, []).append(election)
        for pod, elections in by_pod.items():
            with suppress(KharvestError):  # tried again on the next round; the upload itself will see the store's state
                keys = [election.key for election in elections]
                kept = await self._extend(keys, str(pod), self._config.lease_seconds)
                for election in elections:
                    if election.key in kept:
                        election.lease_deadline = now + self._config.lease_seconds
