"""Elects, for each content that the store lacks, the pod that uploads it, and lets the others wait.

An election is named by the content's MD5: all that clients of both protocols know. Two contents with one MD5 therefore
upload one after the other, which costs nobody but those who make collisions.

::

    (nobody) ──elect──▶ CLAIMING ──claimed──▶ ASKED ──begin──▶ UPLOADING ──┬─▶ ended: those who wait look again
                           │                    └─ asked too long ago ──────┤
                           └─ another server has it ─▶ ELSEWHERE ─ poll ────┘

An election ends in one way only: it is removed and everybody who waits for the content is woken. Whoever still misses
it then stands for the next election. So success, failure, silence and other servers need no separate paths.

Nobody can keep a content from arriving: a pod that does not deliver rests, so that others are asked before it; and a
content that was not delivered twice, or that is wanted for longer than it should take, is asked of several pods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from concurrent.futures import Executor
from contextlib import suppress

from kharvest.server._announcement import Announced
from kharvest.server._claims import Claims
from kharvest.server._clock import StoreClock
from kharvest.server._config import ServerConfig
from kharvest.server._deadlines import Deadlines
from kharvest.server._errors import NotAsked
from kharvest.server._missing import Election, MissingContent, MissingContents, Phase, RestingPods
from kharvest.spi import KharvestError, Pod, Signature, Store

logger = logging.getLogger(__name__)

GRAIN_SECONDS = 0.1
"""How late an election may be ended, so that those that end at about one time end together."""
MOST_SHOWN = 200
"""Characters of a path in a message."""
SLICE = 200
"""Elections that are ended before others have their turn on the event loop."""


class Elections:
    """All elections of this server. Used on one event loop, which owns them.

    The claim in the store, held in the name of the pod, makes an election unique over all servers of the store, whose
    leases go by the store's clock; a pod that was asked before a restart, or by another server, is asked again when it
    announces again.
    """

    def __init__(self, store: Store, executor: Executor, clock: StoreClock, config: ServerConfig) -> None:
        self._claims = Claims(store, executor, clock)
        self._config = config
        self._missing = MissingContents()
        self._resting = RestingPods()
        self._running: dict[Election, MissingContent] = {}
        self._by_pod: dict[Pod, set[Election]] = {}
        self._progress: dict[Pod, float] = {}  # when a pod that is asked for something last did what it was asked for
        self._asked = Deadlines[Election](lambda due: self._note(self._overdue, due))
        self._leases = Deadlines[Election](lambda due: self._note(self._expiring, due))
        self._overdue: list[Election] = []
        self._expiring: list[Election] = []
        self._has_work = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task that ends what has run out of time, and keeps leases; `close` stops it."""
        self._working = asyncio.create_task(self._work(), name="elections")

    async def close(self) -> None:
        """End all elections, and their claims, so that other servers can ask at once."""
        if self._working is not None:
            self._working.cancel()
            with suppress(asyncio.CancelledError):
                await self._working
        for election in list(self._running):
            self._end(election)
        await self._claims.release()

    async def elect(self, pod: Pod, files: Collection[Announced], ask_seconds: float) -> set[Signature]:
        """Those of the files whose content `pod` is to upload now.

        That is where nobody else uploads it, and where it was asked for this very path before: the reply may have
        been lost. Of two files with one content, it is asked for one.

        Raises:
            StoreError: the claims failed; nobody was asked.
        """
        now = asyncio.get_running_loop().time()
        asked = set()
        first: list[Election] = []
        more: list[Election] = []
        for file in files:
            signature = file.signature
            missing = self._missing.add(signature.md5, now)
            mine = next((one for one in missing.elections if one.pod == pod), None)
            if mine is not None:
                if mine.phase is Phase.ASKED and mine.path == signature.path:
                    asked.add(signature)
            elif self._may_ask(missing, pod, file, now):
                # The first one needs the claim; who is asked besides is asked because that one does not deliver.
                (more if missing.elections else first).append(self._open(missing, pod, signature, ask_seconds))
        asked.update(self._ask(election) for election in more)
        if first:
            asked |= await self._claim(pod, first, max(self._config.lease_seconds, ask_seconds))
        return asked

    def _may_ask(self, missing: MissingContent, pod: Pod, file: Announced, now: float) -> bool:
        size = file.content.size if file.content is not None else 0
        if not missing.may_ask(now, size, self._config):
            return False
        if not self._resting.rests(pod, now):
            return True
        return all(other == pod or self._resting.rests(other, now) for other in missing.waiting.values())

    async def wait(self, pod: Pod, signatures: Collection[Signature], seconds: float) -> bool:
        """Wait until an election for one of these has ended, at most so long; whether one has."""
        woken = asyncio.Event()
        contents = [self._missing.get(signature.md5) for signature in signatures]
        awaited = [missing for missing in contents if missing is not None and missing.elections]
        if len(awaited) < len(contents):
            return True
        for missing in awaited:
            missing.waiting[woken] = pod
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            for missing in awaited:
                missing.waiting.pop(woken, None)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for missing in set(self._running.values()):
            _wake(missing)

    def begin(self, pod: Pod, signature: Signature) -> Election:
        """The election for which `pod` now begins to upload.

        Raises:
            NotAsked: it was not asked, or not any more.
        """
        missing = self._missing.get(signature.md5)
        for election in missing.elections if missing is not None else ():
            if election.phase is Phase.ASKED and election.pod == pod:
                election.phase = Phase.UPLOADING
                self._asked.drop(election)  # who receives it sees to its pace
                self.progress(election)
                return election
        raise NotAsked(signature.path)

    def progress(self, election: Election) -> None:
        """The pod does what it was asked for: its time for all else begins anew."""
        self._progress[election.pod] = asyncio.get_running_loop().time()

    def is_running(self, election: Election) -> bool:
        """Whether the election has not ended."""
        return election in self._running

    def delivered(self, election: Election) -> None:
        """The content is in the store."""
        self._resting.delivered(election.pod)
        self.arrived(election.key)

    def failed(self, election: Election) -> None:
        """The pod did not deliver what it was asked for."""
        if self.is_running(election):
            self._blame([election])
            self._end(election)

    def end(self, election: Election) -> None:
        """The upload is over, and nobody is to blame; ending twice is allowed."""
        if self.is_running(election):
            self._end(election)

    def arrived(self, key: bytes) -> None:
        """The content with this MD5 is in the store, by whatever way."""
        missing = self._missing.get(key)
        if missing is not None:
            for election in list(missing.elections):
                self._end(election)
            _wake(missing)
            self._missing.arrived(key)

    def take_back(self, pod: Pod, signatures: Collection[Signature]) -> None:
        """The pod was never told that it was asked for these: whoever announces them next is."""
        for signature in signatures:
            missing = self._missing.get(signature.md5)
            for election in list(missing.elections) if missing is not None else ():
                if election.pod == pod and election.phase is Phase.ASKED:
                    self._end(election)

    def give_up(self, pod: Pod) -> None:
        """The pod is gone, or stands still: end whatever it was asked for and has not begun."""
        for election in list(self._by_pod.get(pod, ())):
            if election.phase is Phase.ASKED:
                self._end(election)

    def _open(self, missing: MissingContent, pod: Pod, signature: Signature, ask_seconds: float) -> Election:
        election = Election(signature.md5, pod, signature.path, ask_seconds)
        missing.elections.append(election)
        self._running[election] = missing
        self._by_pod.setdefault(pod, set()).add(election)
        return election

    def _ask(self, election: Election) -> Signature:
        election.phase = Phase.ASKED
        self._asked.set(election, asyncio.get_running_loop().time() + election.ask_seconds)
        return Signature(election.path, election.key)

    def _end(self, election: Election) -> None:
        missing = self._running.pop(election)
        missing.elections.remove(election)
        self._asked.drop(election)
        self._leases.drop(election)
        theirs = self._by_pod[election.pod]
        theirs.discard(election)
        if not theirs:
            del self._by_pod[election.pod]
            self._progress.pop(election.pod, None)
        if election.is_claimed:
            self._claims.drop(election.key, str(election.pod))
            self._has_work.set()
        _wake(missing)

    def _blame(self, elections: Collection[Election]) -> None:
        """These were not delivered: the contents are asked of more pods, and each pod rests once for all of them."""
        now = asyncio.get_running_loop().time()
        for election in elections:
            self._running[election].failures += 1
        for pod in {election.pod for election in elections}:
            self._resting.failed(pod, now)

    async def _claim(self, pod: Pod, candidates: list[Election], lease_seconds: float) -> set[Signature]:
        loop = asyncio.get_running_loop()
        keys = {election.key for election in candidates}
        for election in candidates:
            election.is_claimed = True  # from now on: it may be made without our hearing of it
        try:
            await self._claims.release()  # what just ended must not stand in the way of whoever comes next
            won = await self._claims.extend(keys, str(pod), lease_seconds)
        except BaseException:
            for election in candidates:
                self.end(election)
            raise
        asked = set()
        for election in candidates:
            if not self.is_running(election):  # the content came by another way meanwhile
                continue
            if election.key in won:
                asked.add(self._ask(election))
                self._leases.set(election, loop.time() + lease_seconds - self._config.lease_seconds / 3)
            else:
                election.is_claimed = False
                election.phase = Phase.ELSEWHERE
                self._asked.set(election, loop.time() + self._config.poll_seconds)
        return asked

    def _note(self, elections: list[Election], due: list[Election]) -> None:
        elections += due
        self._has_work.set()

    async def _work(self) -> None:
        while True:
            await self._has_work.wait()
            await asyncio.sleep(GRAIN_SECONDS)
            self._has_work.clear()
            overdue, self._overdue = self._overdue, []
            expiring, self._expiring = self._expiring, []
            for start in range(0, len(overdue), SLICE):
                self._expire([one for one in overdue[start : start + SLICE] if self._is_silent(one)])
                await asyncio.sleep(0)
            await self._keep_leases([one for one in expiring if self.is_running(one)])
            await self._claims.release()

    def _is_silent(self, election: Election) -> bool:
        """Whether its time is over. Not while its pod uploads what else it was asked for: then it has more time."""
        if not self.is_running(election) or election.phase is Phase.UPLOADING:
            return False
        progress = self._progress.get(election.pod)
        if election.phase is Phase.ASKED and progress is not None:
            at = progress + election.ask_seconds
            if asyncio.get_running_loop().time() < at:
                self._asked.set(election, at)
                return False
        return True

    def _expire(self, elections: list[Election]) -> None:
        silent = [one for one in elections if one.phase is not Phase.ELSEWHERE]
        if silent:
            example = f"{silent[0].pod} did not upload {silent[0].path[:MOST_SHOWN]} in time"
            logger.warning(
                example if len(silent) == 1 else f"{example}, and neither did others: {len(silent)} files in all"
            )
            self._blame(silent)
        for election in elections:
            if self.is_running(election):
                self._end(election)
        for pod in {election.pod for election in silent}:
            self.give_up(pod)

    async def _keep_leases(self, elections: list[Election]) -> None:
        """Extend the claims of what goes on, when two thirds of their time are over."""
        by_pod: dict[Pod, list[Election]] = {}
        for election in elections:
            by_pod.setdefault(election.pod, []).append(election)
        for pod, theirs in by_pod.items():
            now = asyncio.get_running_loop().time()
            kept: set[bytes] = set()
            with suppress(KharvestError):  # tried again soon; the upload itself will see the store's state
                kept = await self._claims.extend([one.key for one in theirs], str(pod), self._config.lease_seconds)
            for election in theirs:
                if self.is_running(election):
                    seconds = self._config.lease_seconds * 2 / 3 if election.key in kept else GRAIN_SECONDS
                    self._leases.set(election, now + seconds)


def _wake(missing: MissingContent) -> None:
    for event in missing.waiting:
        event.set()
