"""Which paths are watched, and what is reported of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from enum import Enum

from kharvest.client._backoff import jitter
from kharvest.client._config.client_config import ClientConfig
from kharvest.client._config.rules import Rule, path_rule
from kharvest.client._errors import Unreadable
from kharvest.client._events import EventQueue
from kharvest.client._watch.changes import Change, Changes, DirectoriesChanged, WatchEvent
from kharvest.client._watch.directories import Directories
from kharvest.client._watch.files import (
    ConfigurationDue,
    ConfigurationFile,
    Observed,
    Recalled,
    Report,
    Subject,
    Unwatched,
    WatchedFile,
)
from kharvest.client._watch.rehashing import RehashRounds
from kharvest.client._watch.removals import RemovalSearch
from kharvest.client._watch.search import GlobSearch
from kharvest.client._watch.settling import ReadEnded, Settler

logger = logging.getLogger(__name__)

_MAX_SHARE = 0.01
"""Of a core, for polling; and five times that for searching directories in which much happens."""
_BURST_SECONDS = 0.02
"""How long changes are collected before they are looked at."""
_UNDECIDED_SECONDS = 60.0
"""How often recalled paths are looked at of which it cannot be said whether they are gone."""


class WatchDue(WatchEvent, Enum):
    """What is done now and then."""

    CHANGES = 1
    RESCAN = 2
    POLL = 3
    REHASH = 4
    UNDECIDED = 5


class Watcher:
    """The room's door: it handles what happens to files, and reports what paths hold. The harvesting thread owns it.

    With `watching` off nothing is looked at but when `look_at_all` is called.

    Attributes:
        files: the watched paths.
    """

    def __init__(self, events: EventQueue, config: ClientConfig, *, watching: bool) -> None:
        self.files: dict[str, WatchedFile] = {}
        self._timers = events.timers
        self._config = config
        self._settler = Settler(events, config)
        self._changes = Changes(events)
        self._directories = Directories(self._changes)
        self._recalled = RemovalSearch()
        self._rules: tuple[Rule, ...] = ()
        self._paths: dict[str, Rule] = {}
        self._searches: list[GlobSearch] = []
        self._configuration_files: tuple[ConfigurationFile, ...] = ()
        self._next_poll = 0.0
        self._reports: list[Report] = []
        now = time.monotonic()
        self._rehash = RehashRounds(seconds=config.rehash_seconds, now=now)
        if watching:
            self._timers.put(WatchDue.REHASH, self._rehash.next)
        else:
            self._directories.close()

    @property
    def is_polling(self) -> bool:
        """Whether there are directories that cannot be watched."""
        return self._directories.is_polling

    @property
    def is_reading(self) -> bool:
        """Whether files are being read: more reports will follow at once. May be called on any thread."""
        return self._settler.is_reading

    def follow(self, config: ClientConfig, configuration_files: Collection[str]) -> None:
        """From now on watch what these rules find, and the files that the configuration comes from.

        A path that is found still keeps its state; the others are reported as unwatched.
        """
        self._rules = config.all_rules()
        for search in self._searches:
            self._directories.drop(search)
            self._timers.discard(search)
        for file in self._configuration_files:
            self._directories.drop(file)
        self._paths = {}
        self._searches = []
        for rule in self._rules:
            if rule.is_path:
                self._paths.setdefault(rule.root, rule)
            else:
                self._searches.append(GlobSearch(rule.root, rule))
        self._configuration_files = tuple(ConfigurationFile(path, path_rule(path)) for path in configuration_files)
        self.look_at_all()
        for path in [path for path in self.files if not self._is_named_or_found(path)]:
            self._forget(self.files[path])
            self._reports.append(Unwatched(path))

    def configure(self, config: ClientConfig) -> None:
        """Use other times and limits from now on."""
        self._config = config
        self._settler.configure(config)
        now = time.monotonic()
        self._rehash.configure(seconds=config.rehash_seconds, now=now)
        if self._timers.time_of(WatchDue.REHASH) is not None:
            self._timers.put(WatchDue.REHASH, self._rehash.next)

    def limit(self, max_content_bytes: int) -> None:
        """Refuse larger files before they are read: the server would."""
        self._settler.max_content_bytes = max_content_bytes

    def handle(self, event: WatchEvent) -> None:
        """React to an event of this room."""
        match event:
            case WatchedFile() as file:
                if self._settler.look(file):
                    self._report(file)
            case ReadEnded(file=file):
                if event.is_rehash:
                    self._rehash.end(event.cost_seconds)
                if self._settler.finish(event):
                    self._report(file)
            case GlobSearch() as search:
                self._search(search)
            case DirectoriesChanged():
                self._timers.put(WatchDue.CHANGES, time.monotonic() + _BURST_SECONDS)
            case WatchDue():
                self._act(event)

    def take_reports(self) -> list[Report]:
        """What there is to report since the last time."""
        if self.is_polling and self._timers.time_of(WatchDue.POLL) is None:
            self._timers.put(WatchDue.POLL, self._next_poll)
        reports, self._reports = self._reports, []
        return reports

    def look_at_all(self) -> None:
        """Search for every glob, and look at every file."""
        seconds = self._config.rescan_seconds
        self._timers.put(WatchDue.RESCAN, time.monotonic() + seconds * 0.9 + jitter(seconds * 0.2))
        for path, rule in self._paths.items():
            self._file(path, rule)
        for search in self._searches:
            self._search(search)
        subjects: tuple[Subject, ...] = (*self.files.values(), *self._configuration_files)
        self._directories.follow(subjects)
        self._directories.tidy()
        for subject in subjects:
            self._look(subject)

    def recover(self) -> None:
        """Look at every path, and report it again: an unexpected error may have lost what was to be done."""
        if self._directories.is_open:
            self._timers.put(WatchDue.REHASH, self._rehash.next)
        for file in self.files.values():
            file.settling_since = None
            if file.reading is not None:
                self._reports.append(Observed(file.path, file.reading))
        self.look_at_all()

    def look_around(self) -> None:
        """Look at every path, and read once more what did not rest."""
        self.look_at_all()
        for file in self.files.values():
            file.is_restless = False

    def recall(self, paths: Iterable[str]) -> None:
        """Report which of the paths that the server has are watched, and look at those that are gone."""
        for path, rule, is_gone in self._recalled.decide(paths, self._rules):
            if is_gone:
                self._look(self._file(path, rule))
            if path in self.files:
                self._reports.append(Recalled(path))
        if self._recalled.undecided and self._timers.time_of(WatchDue.UNDECIDED) is None:
            self._timers.put(WatchDue.UNDECIDED, time.monotonic() + _UNDECIDED_SECONDS)

    def begin_upload(self, path: str) -> None:
        """The content of a file is asked for: until it is sent, the file is not read again for having grown."""
        if path in self.files:
            self.files[path].is_uploading = True

    def end_upload(self, path: str) -> None:
        """The upload of a file has ended."""
        if path in self.files:
            self.files[path].is_uploading = False

    def look_again(self, path: str, *, has_grown: bool) -> None:
        """Look at a file again, because it was not as announced when it was sent, or `has_grown` since."""
        if path in self.files:
            self._settler.touch_sent(self.files[path], has_grown=has_grown)

    def is_at_rest(self, path: str) -> bool:
        """Whether there is nothing left to read at a path until it changes."""
        file = self.files.get(path)
        return file is None or file.is_at_rest

    def search_problems(self) -> dict[str, Unreadable]:
        """What searches could not look at, and why, by path."""
        return {path: problem for search in self._searches for path, problem in search.found.problems.items()}

    def stop_watching(self, hurry_seconds: float | None = None) -> None:
        """From now on look only when `look_at_all` is called, and wait no longer for a file to settle."""
        self._timers.discard(WatchDue.REHASH)
        self._directories.close()
        if hurry_seconds is not None:
            self._settler.hurry(hurry_seconds, self.files.values())

    def close(self) -> None:
        """End all threads."""
        self.stop_watching()
        self._settler.close()

    def _act(self, due: WatchDue) -> None:
        match due:
            case WatchDue.CHANGES:
                self._look_at_changes()
            case WatchDue.RESCAN:
                self.look_at_all()
            case WatchDue.POLL:
                self._poll()
            case WatchDue.REHASH:
                for file in self._rehash.take(self.files.values(), time.monotonic()):
                    if self._settler.rehash(file):
                        self._rehash.begin()
                self._timers.put(WatchDue.REHASH, self._rehash.next)
            case WatchDue.UNDECIDED:
                self.recall(tuple(self._recalled.undecided))

    def _report(self, file: WatchedFile) -> None:
        is_watched = file.reading is not None or self._is_named_or_found(file.path)
        if not is_watched:
            self._forget(file)
        self._reports.append(Observed(file.path, file.reading, is_watched))

    def _is_named_or_found(self, path: str) -> bool:
        return path in self._paths or any(path in search.found.files for search in self._searches)

    def _file(self, path: str, rule: Rule) -> WatchedFile:
        file = self.files.get(path)
        if file is None:
            file = self.files[path] = WatchedFile(path, rule)
        elif file.rule != rule:
            file.rule = rule
            if file.reading is not None:
                file.reading = replace(file.reading, location=file.location)
                self._report(file)
        return file

    def _forget(self, file: WatchedFile) -> None:
        file.is_dropped = True
        self._timers.discard(file)
        del self.files[file.path]
        self._directories.drop(file)

    def _look_at_changes(self) -> None:
        """Look where something may have changed, after the quiet period."""
        changes = self._changes.take()
        if changes is None:
            self.look_at_all()
            return
        moved: set[Subject] = set()
        for entry, change in changes.items():
            below = Change.PATH in change
            for subject in self._directories.below(entry.directory) if below else self._directories.at(entry):
                match subject:
                    case WatchedFile():
                        self._settler.touch(subject, written=Change.BYTES in change)
                    case GlobSearch() if Change.NAME in change:
                        self._search_at(subject, time.monotonic() + self._config.settle_seconds)
                    case ConfigurationFile():
                        self._look(subject)
                if Change.NAME in change and not isinstance(subject, GlobSearch):
                    moved.add(subject)
        for subject in self._directories.follow(moved):
            self._look(subject)

    def _look(self, subject: Subject) -> None:
        match subject:
            case WatchedFile():
                self._settler.touch(subject, at_once=True)
            case GlobSearch():
                self._search_at(subject, time.monotonic())
            case ConfigurationFile() if self._timers.time_of(ConfigurationDue.RELOAD) is None:
                self._timers.put(ConfigurationDue.RELOAD, time.monotonic() + self._config.settle_seconds)

    def _search_at(self, search: GlobSearch, time_: float) -> None:
        """Search then, or later where a search takes long."""
        if self._timers.time_of(search) is None:
            self._timers.put(search, max(time_, search.earliest))

    def _search(self, search: GlobSearch) -> None:
        """Search for a glob; watch the directories of what it finds, and look at files that came or went."""
        started = time.monotonic()
        concerned: set[Subject] = set()
        is_complete = False
        while not is_complete:
            came, went = search.run()
            others = [other for other in self._searches if other is not search]
            for path in came:
                if path not in self._paths and not any(path in other.found.files for other in others):
                    concerned.add(self._file(path, search.rule))
            concerned.update(self.files[path] for path in went if path in self.files)
            unseen = self._directories.follow((search,))
            concerned |= unseen - {search}
            is_complete = search not in unseen  # else something may have come before its directory was watched
        concerned |= self._directories.follow(concerned) - {search}
        for subject in concerned:
            self._look(subject)
        now = time.monotonic()
        self._timers.discard(search)
        search.earliest = now + (now - started) / (5 * _MAX_SHARE)

    def _poll(self) -> None:
        """Look at what leads through directories that cannot be watched."""
        started = time.monotonic()
        polled = self._directories.polled()
        files = [subject for subject in polled if not isinstance(subject, GlobSearch)]
        for subject in polled | self._directories.follow(files):
            self._look(subject)
        self._directories.tidy()
        cost = time.monotonic() - started
        self._next_poll = started + max(self._config.poll_seconds, cost / _MAX_SHARE)
