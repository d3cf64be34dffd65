"""Where to look for changes: which directories are watched, and which tracks an entry of one concerns."""

from __future__ import annotations

import errno
import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from kharvest.client.inbox import Inbox
from kharvest.client.places import Place, Tracer
from kharvest.client.tracks import Track

if TYPE_CHECKING:
    from kharvest.client.inotify import Inotify

logger = logging.getLogger(__name__)

_SHORTAGES = {
    errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
    errno.ENOSPC: "no inotify watch is left: raise fs.inotify.max_user_watches",
}


class Lookout:
    """Knows the places of every track, and has their directories watched. The harvesting thread owns it.

    What cannot be watched is polled: somebody has to ask for `polled` now and then, and look.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._inotify: Inotify | None = None
        self._shortage = OSError()
        self._index: dict[str, dict[str, tuple[Track, ...]]] = {}
        self._places: dict[Track, tuple[Place, ...]] = {}
        self._polled: dict[str, str] = {}  # directory: why

    def place(self, tracks: Iterable[Track]) -> None:
        """Find out where these tracks' paths lead now, and watch there."""
        self._start()
        pending: Collection[Track] = tuple(tracks)
        while pending:
            tracer = Tracer()
            for track in pending:
                self._put(track, tracer.trace(track.path))
            directories = {place.directory for track in pending for place in self._places[track]}
            fresh = [directory for directory in directories if self._watch(directory)]
            # What happened there between tracing and watching, nobody has told us.
            pending = {track for directory in fresh for track in self.at(Place(directory, ""))}

    def at(self, place: Place) -> Collection[Track]:
        """The tracks that an entry of a directory concerns; with an empty name, all that the directory does."""
        names = self._index.get(place.directory, {})
        if place.name:
            return names.get(place.name, ())
        return {track for tracks in names.values() for track in tracks}

    def drop(self, track: Track) -> None:
        """Forget the track."""
        for place in dict.fromkeys(self._places.pop(track, ())):
            names = self._index[place.directory]
            names[place.name] = tuple(other for other in names[place.name] if other is not track)
            if not names[place.name]:
                del names[place.name]
            if not names:
                del self._index[place.directory]

    def tidy(self) -> None:
        """Watch no longer where no track leads."""
        if self._inotify is not None:
            self._inotify.keep_only(set(self._index))
        for directory in self._polled.keys() - self._index.keys():
            del self._polled[directory]

    @property
    def is_polling(self) -> bool:
        """Whether there are directories that cannot be watched."""
        return bool(self._polled)

    def polled(self) -> set[Track]:
        """The tracks that lead through directories that cannot be watched."""
        return {track for directory in self._polled for track in self.at(Place(directory, ""))}

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _start(self) -> None:
        if self._inotify is None:
            from kharvest.client.inotify import Inotify  # noqa: PLC0415  # 2 MB that `--once` has no use for

            try:
                self._inotify = Inotify(self._inbox)
            except OSError as error:
                self._shortage = error

    def _put(self, track: Track, places: tuple[Place, ...]) -> None:
        if self._places.get(track) == places:
            return
        self.drop(track)
        self._places[track] = places
        for place in dict.fromkeys(places):
            names = self._index.setdefault(place.directory, {})
            names[place.name] = (*names.get(place.name, ()), track)

    def _watch(self, directory: str) -> bool:
        """Watch a directory; whether that is new. Where it cannot be, it is polled."""
        try:
            if self._inotify is None:
                raise self._shortage
            is_new = self._inotify.watch(directory)
        except OSError as error:
            reason = _SHORTAGES.get(error.errno or 0) or error.strerror or str(error)
            if self._polled.get(directory) != reason:
                logger.warning("%r cannot be watched (%s); it is polled", directory, reason)
                self._polled[directory] = reason
            return False
        if self._polled.pop(directory, None) is not None:
            logger.info("%r can be watched again", directory)
        return is_new
