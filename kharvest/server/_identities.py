"""Notices two clients that speak for one pod: each would make the other's files look changed, in turn, for ever."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from kharvest.server._metrics import Metrics
from kharvest.spi import Pod

logger = logging.getLogger(__name__)

MOST_PODS = 20_000
"""Pods whose last sessions are remembered, some 300 bytes each; of more, those that were silent for longest are not."""
TURNS = 3
"""Changes from one session to the other and back: a client that was restarted makes one."""
WARN_SECONDS = 3600.0
"""How often it is said of one pod."""


@dataclass(slots=True)
class _Sessions:
    """The session that spoke last for a pod, the one before it, and how often they have taken turns."""

    last: str
    peer: str
    before: str = ""
    turns: int = 0
    silent_until: float = float("-inf")


class Identities:
    """Which sessions of clients speak for which pods. Used on one event loop."""

    def __init__(self, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._monotonic = monotonic
        self._by_pod: OrderedDict[Pod, _Sessions] = OrderedDict()

    def heard(self, pod: Pod, session: str, peer: str) -> None:
        """A client announced as this pod. `session` is empty for one that does not tell."""
        if not session:
            return
        known = self._by_pod.get(pod)
        if known is None:
            self._by_pod[pod] = _Sessions(session, peer)
            if len(self._by_pod) > MOST_PODS:
                self._by_pod.popitem(last=False)
            return
        self._by_pod.move_to_end(pod)
        if session != known.last:
            known.turns = known.turns + 1 if session == known.before else 1
            if known.turns >= TURNS and self._monotonic() >= known.silent_until:
                known.silent_until = self._monotonic() + WARN_SECONDS
                self._metrics.shared_identity()
                logger.warning(
                    "two clients announce as the pod %s, from %s and %s: their files take turns in its history; "
                    "give each of them a namespace and pod of its own",
                    pod,
                    known.peer,
                    peer,
                )
            known.before, known.last = known.last, session
        known.peer = peer
