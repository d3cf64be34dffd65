"""Which paths are watched: what the rules find, as it comes and goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kharvest.client.backoff import jitter
from kharvest.client.inbox import Inbox, Touch
from kharvest.client.lookout import Lookout
from kharvest.client.observing import Observer, is_unicode
from kharvest.client.places import Place
from kharvest.client.rules import Found, Rule, find
from kharvest.client.tracks import Track

logger = logging.getLogger(__name__)

_MAX_SHARE = 0.01
"""Of a core, for polling; and five times that for searching directories in which much happens."""


@dataclass(slots=True, eq=False)
class Root:
    """A rule with a glob, and where it found what."""

    rule: Rule
    directories: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    unlisted: dict[str, str] = field(default_factory=dict)
    unannounceable: set[str] = field(default_factory=set)
    earliest: float = 0.0
    next_search: float | None = None

    def search_at(self, time_: float) -> None:
        """Have it searched then, or later where searching it takes long."""
        if self.next_search is None:
            self.next_search = max(time_, self.earliest)

    @property
    def path(self) -> str:
        """Below which it is searched."""
        return self.rule.root


@dataclass(slots=True, eq=False)
class Input:
    """A file that the client itself is configured by."""

    path: str
    changed: Callable[[], None]

    @property
    def directories(self) -> None:
        """Only its own path concerns it (see `lookout.Subject`)."""
        return


class Watchlist:
    """Holds a track for every path that a rule finds, and has it looked at when something happens there.

    The harvesting thread owns it. With `watching` off nothing is looked at but when `look_at_all` is called.
    """

    def __init__(
        self,
        inbox: Inbox,
        observer: Observer,
        *,
        watching: bool,
        rescan_seconds: float,
        poll_seconds: float,
        search_seconds: float,
    ) -> None:
        self.tracks: dict[str, Track] = {}
        self._observer = observer
        self._lookout: Lookout[Track | Root | Input] | None = Lookout(inbox) if watching else None
        self._rescan_seconds = rescan_seconds
        self._poll_seconds = poll_seconds
        self._search_seconds = search_seconds
        self._paths: dict[str, Rule] = {}
        self._roots: list[Root] = []
        self._inputs: list[Input] = []
        self._next_scan = 0.0
        self._next_poll = 0.0

    @property
    def is_polling(self) -> bool:
        """Whether there are directories that cannot be watched."""
        return self._lookout is not None and self._lookout.is_polling

    def configure(self, *, rescan_seconds: float, poll_seconds: float, search_seconds: float) -> None:
        """Use other times from now on."""
        self._rescan_seconds = rescan_seconds
        self._poll_seconds = poll_seconds
        self._search_seconds = search_seconds

    def follow(self, rules: Iterable[Rule], inputs: Mapping[str, Callable[[], None]]) -> None:
        """From now on watch what these rules find, and the files that have to do with the configuration.

        A path that is found still keeps its track; the others are forgotten: nothing is announced of them any more.
        """
        if self._lookout is not None:
            old: tuple[Root | Input, ...] = (*self._roots, *self._inputs)
            for subject in old:
                self._lookout.drop(subject)
        self._paths = {}
        self._roots = []
        for rule in rules:
            if rule.is_path:
                self._paths.setdefault(rule.root, rule)
            else:
                self._roots.append(Root(rule))
        self._inputs = [Input(path, changed) for path, changed in inputs.items()]
        self.look_at_all()
        found = self._paths.keys() | {path for root in self._roots for path in root.files}
        for path in self.tracks.keys() - found:
            self._forget(self.tracks[path])

    def look_at_all(self) -> None:
        """Search below every root, and look at every file."""
        self._next_scan = time.monotonic() + self._rescan_seconds * 0.9 + jitter(self._rescan_seconds * 0.2)
        for path, rule in self._paths.items():
            self._track(path, rule)
        for root in self._roots:
            self._search(root)
        if self._lookout is not None:
            self._lookout.place((*self.tracks.values(), *self._inputs))
            self._lookout.tidy()
        for track in self.tracks.values():
            self._observer.touch(track, at_once=True)
        for one in self._inputs:
            one.changed()

    def touched(self, places: Mapping[Place, Touch]) -> None:
        """Look where something may have changed, after the quiet period."""
        if self._lookout is None:
            return
        moved: set[Track | Root | Input] = set()
        for place, touch in places.items():
            is_moved = Touch.PATH in touch
            for subject in self._lookout.below(place.directory) if is_moved else self._lookout.at(place):
                if isinstance(subject, Track):
                    self._observer.touch(subject, written=Touch.BYTES in touch)
                elif isinstance(subject, Input):
                    subject.changed()
                elif Touch.NAME in touch:
                    subject.search_at(time.monotonic() + self._search_seconds)
                if Touch.NAME in touch and not isinstance(subject, Root):
                    moved.add(subject)
        for subject in self._lookout.place(moved) if moved else ():
            self._look(subject)

    def turn(self, now: float) -> float:
        """Search and look where it is due. Returns when it will be next."""
        if now >= self._next_scan:
            self.look_at_all()
        for root in self._roots:
            if root.next_search is not None and now >= root.next_search:
                self._search(root)
        if self.is_polling and now >= self._next_poll:
            self._poll()
        dues = [root.next_search for root in self._roots if root.next_search is not None]
        if self.is_polling:
            dues.append(self._next_poll)
        return min((self._next_scan, *dues))

    def settle(self, track: Track) -> None:
        """Forget a path whose removal is acknowledged, unless it is to be watched whether it is there or not."""
        gone = track.version is None or track.version.is_removal
        if gone and track.is_resolved and track.path not in self._paths and not self._is_found(track.path):
            self._forget(track)

    def stop_watching(self) -> None:
        """From now on look only when `look_at_all` is called."""
        if self._lookout is not None:
            self._lookout.close()
            self._lookout = None

    def _track(self, path: str, rule: Rule) -> Track:
        track = self.tracks.get(path)
        if track is None:
            track = self.tracks[path] = Track(path, rule)
        track.rule = rule
        return track

    def _is_found(self, path: str) -> bool:
        return any(path in root.files for root in self._roots)

    def _forget(self, track: Track) -> None:
        track.dropped = True
        del self.tracks[track.path]
        if self._lookout is not None:
            self._lookout.drop(track)

    def _search(self, root: Root) -> None:
        """Find the files of a root; watch the directories they are in, and look at those that came or went."""
        started = time.monotonic()
        concerned: set[Track | Root | Input] = set()
        is_complete = False
        while not is_complete:
            found = find(root.rule)
            self._warn_of(root, found)
            files = set(found.files) - root.unannounceable
            for path in files - root.files:
                if path not in self._paths and not self._is_found(path):
                    concerned.add(self._track(path, root.rule))
            concerned.update(self.tracks[path] for path in root.files - files if path in self.tracks)
            root.files = files
            root.directories = found.directories
            unseen = set() if self._lookout is None else self._lookout.place((root,))
            concerned |= unseen - {root}
            is_complete = root not in unseen  # else something may have come before its directory was watched
        if self._lookout is not None:
            concerned |= self._lookout.place(concerned) - {root}
        for subject in concerned:
            self._look(subject)
        now = time.monotonic()
        root.next_search = None
        root.earliest = now + (now - started) / (5 * _MAX_SHARE)

    def _warn_of(self, root: Root, found: Found) -> None:
        """Say once what cannot be harvested of what was found."""
        for path, reason in found.unlisted.items():
            if root.unlisted.get(path) != reason:
                logger.warning("%r cannot be searched: %s", path, reason)
        root.unlisted = found.unlisted
        unannounceable = {path for path in found.files if not is_unicode(path)}
        for path in unannounceable - root.unannounceable:
            logger.warning("%r is skipped: its name is not UTF-8, and could not be announced; rename it", path)
        root.unannounceable = unannounceable

    def _look(self, subject: Track | Root | Input) -> None:
        if isinstance(subject, Track):
            self._observer.touch(subject, at_once=True)
        elif isinstance(subject, Input):
            subject.changed()
        else:
            subject.search_at(time.monotonic())

    def _poll(self) -> None:
        started = time.monotonic()
        if self._lookout is not None:
            polled = self._lookout.polled()
            for subject in polled | self._lookout.place(subject for subject in polled if not isinstance(subject, Root)):
                self._look(subject)
            self._lookout.tidy()
        cost = time.monotonic() - started
        self._next_poll = started + max(self._poll_seconds, cost / _MAX_SHARE)
