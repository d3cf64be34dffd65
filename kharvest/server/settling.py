"""Settles announcements against the store, a group at a time: what it knows is recorded, what it lacks is told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from kharvest.server.announcement import Announced, Announcement, Fate, Outcome
from kharvest.spi import (
    Conflict,
    Content,
    ContentMismatch,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
)


class Settler:
    """Settles groups of announcements, one call at a time: it is used by one thread.

    It owns a bounded memory of known signatures. A signature stays known while a reference names it; when references
    are forgotten behind its back, the store says so and the memory is mended.
    """

    def __init__(self, store: Store, max_known: int) -> None:
        self._store = store
        self._max_known = max_known
        self._known: OrderedDict[Signature, Content] = OrderedDict()

    def settle(self, group: Sequence[Announcement]) -> list[list[Outcome]]:
        """What becomes of each file of each announcement: ACKNOWLEDGED, MISSING, or why it is refused.

        What is acknowledged is in the store when this returns. Everything that is recorded is recorded in one batch.

        Raises:
            StoreError: the store failed; nothing was acknowledged.
        """
        refused: dict[Signature, Conflict] = {}
        while True:
            try:
                return self._attempt(group, refused)
            except Conflict as conflict:
                # Another server recorded this signature since we looked. Each round refuses one more: it ends.
                if conflict.signature in refused:
                    raise
                refused[conflict.signature] = conflict
                self._known.pop(conflict.signature, None)
            except UnknownContent as unknown:
                stale = [signature for signature in unknown.signatures if signature in self._known]
                if not stale:
                    raise
                for signature in stale:
                    del self._known[signature]

    def _attempt(self, group: Sequence[Announcement], refused: dict[Signature, Conflict]) -> list[list[Outcome]]:
        files: dict[Signature, Content] = {}
        outcomes = self._judge(group, refused, files)
        references = self._changes(group, outcomes)
        if references:
            if files:  # contents that were there, under a signature that is new
                named = {reference.signature for reference in references}
                files = {signature: content for signature, content in files.items() if signature in named}
            self._store.record(files, references)
            self._remember(files)
        return outcomes

    def _judge(
        self, group: Sequence[Announcement], refused: dict[Signature, Conflict], files: dict[Signature, Content]
    ) -> list[list[Outcome]]:
        """Each file's outcome, if recording succeeds; adds to `files` what is new to the store though it has it."""
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
            present = self._store.present(wanted) if wanted else {}

        def judge(file: Announced, stored: Content | None) -> Outcome:
            signature, content = file.signature, file.content
            if signature.is_removal:
                return Fate.ACKNOWLEDGED
            if signature in refused:
                return refused[signature]
            stored = stored or known.get(signature) or files.get(signature)
            if stored is None:
                if content is None or content.sha256 not in present:
                    return Fate.MISSING
                stored = present[content.sha256]
                if stored.md5 != signature.md5:
                    return ContentMismatch(content, "md5", stored.md5.hex())
                files[signature] = stored
            if content is None:
                return Fate.ACKNOWLEDGED
            if content.sha256 != stored.sha256:
                return Conflict(signature, stored, content)
            return Fate.ACKNOWLEDGED if content.size == stored.size else _wrong_size(content, stored)

        return [
            [judge(file, content) for file, content in zip(announcement.files, contents, strict=True)]
            for announcement, contents in zip(group, remembered, strict=True)
        ]

    def _changes(self, group: Sequence[Announcement], outcomes: list[list[Outcome]]) -> list[Reference]:
        """The references that tell something new: history holds changes, not chatter."""
        acknowledged = [
            (Timeline(announcement.pod, file.signature.path), announcement, file.signature)
            for announcement, fates in zip(group, outcomes, strict=True)
            for file, fate in zip(announcement.files, fates, strict=True)
            if fate is Fate.ACKNOWLEDGED
        ]
        newest: dict[Timeline, Reference] = {}
        if acknowledged:
            newest = self._store.newest({timeline for timeline, _announcement, _signature in acknowledged})
        changes = []
        for timeline, announcement, signature in acknowledged:
            before = newest.get(timeline)
            if before is None or before.signature.md5 != signature.md5 or before.metadata != announcement.metadata:
                newest[timeline] = reference = announcement.reference(signature)
                changes.append(reference)
        return changes

    def _remember(self, known: Mapping[Signature, Content]) -> None:
        self._known.update(known)
        while len(self._known) > self._max_known:
            self._known.popitem(last=False)


def _wrong_size(announced: Content, stored: Content) -> ContentMismatch:
    return ContentMismatch(announced, "size", str(stored.size))
