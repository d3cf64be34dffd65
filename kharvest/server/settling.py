"""Settles announcements against the store, a group at a time: what it knows is recorded, what it lacks is told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

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
        known = self._lookup(group)
        files, outcomes = self._judge(group, known, refused)
        references = self._changes(group, outcomes)
        if references:
            named = {reference.signature for reference in references}
            fresh = {signature: content for signature, content in files.items() if signature in named}
            self._store.record(fresh, references)
            self._remember(fresh.items())
        return outcomes

    def _lookup(self, group: Sequence[Announcement]) -> dict[Signature, Content]:
        """The contents of the group's signatures that are known."""
        known: dict[Signature, Content] = {}
        unsure: set[Signature] = set()
        for announcement in group:
            for file in announcement.files:
                content = self._known.get(file.signature)
                if content is not None:
                    known[file.signature] = content
                elif not file.signature.is_removal:
                    unsure.add(file.signature)
        if unsure:
            found = self._store.known(unsure)
            self._remember(found.items())
            known.update(found)
        return known

    def _judge(
        self,
        group: Sequence[Announcement],
        known: dict[Signature, Content],
        refused: dict[Signature, Conflict],
    ) -> tuple[dict[Signature, Content], list[list[Outcome]]]:
        """The files that are new to the store though their content is there, and each file's outcome so far."""
        wanted = {
            file.content.sha256
            for announcement in group
            for file in announcement.files
            if file.content is not None and file.signature not in known
        }
        present = self._store.present(wanted) if wanted else {}
        files: dict[Signature, Content] = {}

        def judge(file: Announced) -> Outcome:
            signature = file.signature
            if signature.is_removal:
                return Fate.ACKNOWLEDGED
            if signature in refused:
                return refused[signature]
            stored = known.get(signature) or files.get(signature)
            if stored is None:
                if file.content is None or file.content.sha256 not in present:
                    return Fate.MISSING
                stored = present[file.content.sha256]
                if stored.md5 != signature.md5:
                    return ContentMismatch(file.content, "md5", stored.md5.hex())
                files[signature] = stored
            if file.content is None or file.content == stored:
                return Fate.ACKNOWLEDGED
            if file.content.sha256 != stored.sha256:
                return Conflict(signature, stored, file.content)
            return ContentMismatch(file.content, "size", str(stored.size))

        return files, [[judge(file) for file in announcement.files] for announcement in group]

    def _changes(self, group: Sequence[Announcement], outcomes: list[list[Outcome]]) -> list[Reference]:
        """The references that tell something new: history holds changes, not chatter."""
        acknowledged = [
            announcement.reference(file.signature)
            for announcement, fates in zip(group, outcomes, strict=True)
            for file, fate in zip(announcement.files, fates, strict=True)
            if fate is Fate.ACKNOWLEDGED
        ]
        newest: dict[Timeline, Reference] = {}
        if acknowledged:
            newest = self._store.newest({reference.timeline for reference in acknowledged})
        changes = []
        for reference in acknowledged:
            timeline = reference.timeline
            before = newest.get(timeline)
            if (
                before is None
                or before.signature.md5 != reference.signature.md5
                or before.metadata != reference.metadata
            ):
                newest[timeline] = reference
                changes.append(reference)
        return changes

    def _remember(self, known: Iterable[tuple[Signature, Content]]) -> None:
        for signature, content in known:
            self._known[signature] = content
        while len(self._known) > self._max_known:
            self._known.popitem(last=False)
