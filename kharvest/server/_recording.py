"""Records announcements in the store, a group at a time, and reports the files whose content the store lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kharvest.server._announcement import Announced, Announcement, FileAnswer, FileStatus
from kharvest.server._clock import ClockWarning
from kharvest.server._recent import Recent
from kharvest.spi import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Conflict,
    Content,
    ContentMismatch,
    InvalidValue,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
)

SIGNATURE_BYTES = 400
"""What a known signature takes besides its path."""
TIMELINE_BYTES = 300
"""What a timeline takes besides its path, while a content is on its way."""
MAX_AWAITED_BYTES = 8 * 1024 * 1024


IN_PARTS = (Conflict, InvalidValue, UnknownContent)
"""What a store may refuse a batch with because of one file of it: the batch is recorded again in parts."""


class Recorder:
    """Records groups of announcements, one call at a time: it is used by one thread.

    It owns a bounded memory of known signatures. A signature stays known while a reference names it; when references
    are forgotten behind its back, the store says so and the memory is mended.
    """

    def __init__(self, store: Store, max_known_bytes: int) -> None:
        self._store = store
        self._known = Recent[Signature, Content](max_known_bytes)
        self._awaited = _Awaited()
        self._warning = ClockWarning()

    def record(self, group: Sequence[Announcement]) -> list[list[FileAnswer]]:
        """The answer to each file of each announcement: ACKNOWLEDGED, MISSING, or why it is refused.

        What is acknowledged is in the store when this returns, in the order in which it was announced. Everything that
        is new goes into one batch, unless one announcement is more than a store is given in one call.

        Raises:
            Conflict, InvalidValue, UnknownContent: the store refuses something of several announcements without saying
                of which file; nothing is acknowledged. Record them one by one.
            StoreError: the store failed; nothing is acknowledged.
        """
        if len(group) > 1:
            return self._record(group)
        (only,) = group
        if _is_too_large(only):
            return self._record_halves(only)
        try:
            return self._record(group)
        except IN_PARTS as error:
            if len(only.files) > 1:
                return self._record_halves(only)
            return [[FileStatus.MISSING if isinstance(error, UnknownContent) else error]]

    def _record(self, group: Sequence[Announcement]) -> list[list[FileAnswer]]:
        refusals = _Refusals()
        while True:
            try:
                return self._attempt(group, refusals)
            except (Conflict, UnknownContent) as error:
                # Somebody recorded, forgot or discarded since we looked. Each round learns something: it ends.
                if not refusals.learn(error):
                    raise
                for signature in refusals.doubted:
                    self._known.forget(signature)

    def _record_halves(self, announcement: Announcement) -> list[list[FileAnswer]]:
        middle = len(announcement.files) // 2
        halves = (announcement.files[:middle], announcement.files[middle:])
        return [[answer for files in halves for answer in self.record([replace(announcement, files=files)])[0]]]

    def _attempt(self, group: Sequence[Announcement], refusals: _Refusals) -> list[list[FileAnswer]]:
        files: dict[Signature, Content] = {}
        answers = self._judge(group, refusals, files)
        appended, outdated = self._changes(group, answers)
        if outdated:  # first: should what follows fail, this is idempotent
            self._store.record(_named(files, outdated), outdated)
        if appended:
            recorded = self._store.append(_named(files, appended), appended)
            self._warning.compare(appended, recorded)
        self._remember(_named(files, [*appended, *outdated]))
        self._awaited.note(group, answers)
        return answers

    def _judge(
        self, group: Sequence[Announcement], refusals: _Refusals, files: dict[Signature, Content]
    ) -> list[list[FileAnswer]]:
        """Each file's answer, if recording succeeds; adds to `files` what is new to the store though it has it."""
        remembered = [[self._known.get(file.signature) for file in announcement.files] for announcement in group]
        unsure = [
            file
            for announcement, contents in zip(group, remembered, strict=True)
            for file, content in zip(announcement.files, contents, strict=True)
            if content is None and not file.signature.is_removal
        ]
        known: dict[Signature, Content] = {}
        present: dict[bytes, Content] = {}
        if unsure:
            known = self._store.known({file.signature for file in unsure})
            self._remember(known)
            wanted = {file.content.sha256 for file in unsure if file.content and file.signature not in known}
            present = self._store.present(wanted - refusals.absent) if wanted else {}

        def judge(file: Announced, stored: Content | None) -> FileAnswer:
            signature, content = file.signature, file.content
            if signature.is_removal:
                return FileStatus.ACKNOWLEDGED
            if signature in refusals.conflicts:
                return refusals.conflicts[signature]
            if signature in refusals.unknown:
                return FileStatus.MISSING
            stored = stored or known.get(signature) or files.get(signature)
            if stored is None:
                if content is None or content.sha256 not in present:
                    return FileStatus.MISSING
                stored = present[content.sha256]
                if stored.md5 != signature.md5:
                    return ContentMismatch(content, "md5", stored.md5.hex())
                files[signature] = stored
            if content is None:
                return FileStatus.ACKNOWLEDGED
            if content.sha256 != stored.sha256:
                return Conflict(signature, stored, content)
            return FileStatus.ACKNOWLEDGED if content.size == stored.size else _wrong_size(content, stored)

        return [
            [judge(file, content) for file, content in zip(announcement.files, contents, strict=True)]
            for announcement, contents in zip(group, remembered, strict=True)
        ]

    def _changes(
        self, group: Sequence[Announcement], answers: list[list[FileAnswer]]
    ) -> tuple[list[Reference], list[Reference]]:
        """The references that tell something new: history holds changes, not chatter.

        First those that are the newest now, then those that were announced before what is the newest.
        """
        acknowledged = [
            (Timeline(announcement.pod, file.signature.path), announcement, file.signature)
            for announcement, statuses in zip(group, answers, strict=True)
            for file, status in zip(announcement.files, statuses, strict=True)
            if status is FileStatus.ACKNOWLEDGED
        ]
        newest: dict[Timeline, Reference] = {}
        if acknowledged:
            newest = self._store.newest({timeline for timeline, _announcement, _signature in acknowledged})
        appended: list[Reference] = []
        outdated: list[Reference] = []
        for timeline, announcement, signature in sorted(acknowledged, key=lambda one: one[1].observed_at_ns):
            before = newest.get(timeline)
            if before is None or before.signature.md5 != signature.md5 or before.metadata != announcement.metadata:
                reference = announcement.reference(signature)
                late_ns = self._awaited.late_ns(timeline, announcement) if before is not None else 0
                if before is not None and late_ns > 0:
                    # As long before the newest as it was announced before that, whatever its time was in the end.
                    outdated.append(replace(reference, observed_at_ns=max(0, before.observed_at_ns - late_ns)))
                else:
                    newest[timeline] = reference
                    appended.append(reference)
        return appended, outdated

    def _remember(self, known: Mapping[Signature, Content]) -> None:
        for signature, content in known.items():
            self._known.remember(signature, content, SIGNATURE_BYTES + len(signature.path))


@dataclass(slots=True)
class _Refusals:
    """What the store has refused of a group, so that the rest of it can be recorded.

    Attributes:
        conflicts: signatures that are known with another content.
        doubted: signatures that were taken for known, wrongly so once.
        unknown: those of them for which the store itself had just said so.
        absent: contents that are not there, though they just were.
    """

    conflicts: dict[Signature, Conflict] = field(default_factory=dict)
    doubted: set[Signature] = field(default_factory=set)
    unknown: set[Signature] = field(default_factory=set)
    absent: set[bytes] = field(default_factory=set)

    def learn(self, error: Conflict | UnknownContent) -> bool:
        """Note what the error names; False if that is nothing new."""
        before = len(self.conflicts), len(self.doubted), len(self.unknown), len(self.absent)
        if isinstance(error, Conflict):
            self.conflicts.setdefault(error.signature, error)
            self.doubted.add(error.signature)
        else:
            self.unknown |= error.signatures & self.doubted
            self.doubted |= error.signatures
            self.absent |= error.sha256s
        return before != (len(self.conflicts), len(self.doubted), len(self.unknown), len(self.absent))


class _Awaited:
    """Which announcement was the last one, of timelines for which one waits for its content.

    That one is recorded again when the content is there. Meanwhile the pod may have announced something else of the
    same path: then this is the newest, and what waited comes before it. Bounded: the timelines for which nobody has
    waited for longest are left out.
    """

    def __init__(self) -> None:
        self._last_ns = Recent[Timeline, int](MAX_AWAITED_BYTES)

    def note(self, group: Sequence[Announcement], answers: list[list[FileAnswer]]) -> None:
        """These announcements were recorded, with these answers."""
        for announcement, statuses in zip(group, answers, strict=True):
            for file, status in zip(announcement.files, statuses, strict=True):
                if status is FileStatus.MISSING:
                    timeline = Timeline(announcement.pod, file.signature.path)
                    self._remember(timeline, self._last_ns.get(timeline) or 0)
                elif len(self._last_ns) and status is FileStatus.ACKNOWLEDGED:
                    timeline = Timeline(announcement.pod, file.signature.path)
                    last_ns = self._last_ns.get(timeline)
                    if last_ns is not None:
                        self._remember(timeline, max(last_ns, announcement.observed_at_ns))

    def _remember(self, timeline: Timeline, last_ns: int) -> None:
        self._last_ns.remember(timeline, last_ns, TIMELINE_BYTES + len(timeline.path))

    def late_ns(self, timeline: Timeline, announcement: Announcement) -> int:
        """How long before the last one of its timeline this was announced; not more than 0 if it is the last."""
        return (self._last_ns.get(timeline) or 0) - announcement.observed_at_ns


def _named(files: Mapping[Signature, Content], references: Collection[Reference]) -> dict[Signature, Content]:
    """Those of the files that references name."""
    if not files:
        return {}
    named = {reference.signature for reference in references}
    return {signature: content for signature, content in files.items() if signature in named}


def _is_too_large(announcement: Announcement) -> bool:
    """Whether a store is not given as much in one call."""
    files = len(announcement.files)
    return files > MAX_BATCH or (files > 1 and announcement.batch_bytes() > MAX_BATCH_BYTES)


def _wrong_size(announced: Content, stored: Content) -> ContentMismatch:
    return ContentMismatch(announced, "size", str(stored.size))
