"""Which paths are watched, and what is reported of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from enum import Enum

from kharvest.client._backoff import jitter
from kharvest.client._config.client_config import ClientConfig
from kharvest.client._config.rules import Rule, path_rule
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
from kharvest.client._watch.search import GlobSearch, RuleSet
from kharvest.client._watch.settling import ReadEnded, Settler

_MAX_SHARE = 0.01
"""Of a core, for polling; and five times that for searching directories in which much happens."""
_BURST_SECONDS = 0.02
"""How long changes are collected before they are looked at."""


class WatchDue(WatchEvent, Enum):
    """What is done now and then."""

    CHANGES = 1
    RESCAN = 2
    POLL = 3
    REHASH = 4


class Watcher:
    """The room's door: it handles what happens to files, and reports what paths hold. The harvesting thread owns it.

    With `watching` off nothing is looked at but when `look_at_all` is called.

    Attributes:
        files: the watched paths.
        rules: the rules that name or find them.
    """

    def __init__(self, events: EventQueue, config: ClientConfig, *, watching: bool) -> None:
        self.files: dict[str, WatchedFile] = {}
        self.rules = RuleSet()
        self._timers = events.timers
        self._config = config
        self._settler = Settler(events, config)
        self._changes = Changes(events)
        self._directories = Directories(self._changes)
        self._recalled = RemovalSearch(events)
        self._configuration_files: tuple[ConfigurationFile, ...] = ()
        self._next_poll = 0.0
        self._reports: list[Report] = []
        self._rehash = RehashRounds(seconds=config.rehash_seconds, now=time.monotonic())
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
        for search in self.rules.searches:
            self._directories.drop(search)
            self._timers.discard(search)
        for file in self._configuration_files:
            self._directories.drop(file)
        self.rules = RuleSet(config.all_rules())
        self._configuration_files = tuple(ConfigurationFile(path, path_rule(path)) for path in configuration_files)
        self.look_at_all()
        for path in [path for path in self.files if not self.rules.has(path)]:
            self._forget(self.files[path])
            self._reports.append(Unwatched(path))

    def configure(self, config: ClientConfig) -> None:
        """Use other times and limits from now on."""
        self._config = config
        self._settler.configure(config)
        self._rehash.configure(seconds=config.rehash_seconds, now=time.monotonic())
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
            case RemovalSearch() as recalled:
                self.recall(tuple(recalled.undecided))
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
        for path, rule in self.rules.paths.items():
            self._file(path, rule)
        for search in self.rules.searches:
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
        for path, rule, is_gone in self._recalled.decide(paths, self.rules.rules):
            if is_gone:
                self._look(self._file(path, rule))
            if path in self.files:
                self._reports.append(Recalled(path))

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

    def _report(self, file: WatchedFile) -> None:
        is_watched = file.reading is not None or self.rules.has(file.path)
        if not is_watched:
            self._forget(file)
        self._reports.append(Observed(file.path, file.reading, is_watched))

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
                        self._look(subject, after_seconds=self._config.settle_seconds)
                    case ConfigurationFile():
                        self._look(subject)
                if Change.NAME in change and not isinstance(subject, GlobSearch):
                    moved.add(subject)
        for subject in self._directories.follow(moved):
            self._look(subject)

    def _look(self, subject: Subject, *, after_seconds: float = 0.0) -> None:
        """Look at something at once; at what takes long, or has to rest, later."""
        now = time.monotonic()
        match subject:
            case WatchedFile():
                self._settler.touch(subject, at_once=True)
            case GlobSearch() if self._timers.time_of(subject) is None:
                self._timers.put(subject, max(now + after_seconds, subject.earliest))
            case ConfigurationFile() if self._timers.time_of(ConfigurationDue.RELOAD) is None:
                self._timers.put(ConfigurationDue.RELOAD, now + self._config.settle_seconds)

    def _search(self, search: GlobSearch) -> None:
        """Search for a glob; watch the directories of what it finds, and look at files that came or went."""
        started = time.monotonic()
        concerned: set[Subject] = set()
        unseen: set[Subject] = {search}
        while search in unseen:  # something may have come before its directory was watched
            came, went = search.run()
            concerned.update(self._file(path, search.rule) for path in came if not self.rules.has(path, but=search))
            concerned.update(self.files[path] for path in went if path in self.files)
            unseen = self._directories.follow((search,))
            concerned |= unseen - {search}
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
        for subject in polled | self._directories.follow(one for one in polled if not isinstance(one, GlobSearch)):
            self._look(subject)
        self._directories.tidy()
        self._next_poll = started + max(self._config.poll_seconds, (time.monotonic() - started) / _MAX_SHARE)
