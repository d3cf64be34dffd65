"""Recording: from a batch to the rows to commit."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records import _shared as shared
from kharvest.records import _signatures as signatures
from kharvest.records._commits import Change
from kharvest.records._engine import View
from kharvest.records._keys import Kind
from kharvest.records._rows import Head
from kharvest.spi import Content, Metadata, Reference, Signature, Timeline
from kharvest.spi.recording import after_newest, require_known


@dataclass(frozen=True, slots=True)
class Place:
    """A reference in the order of all, and what it is found by."""

    rank: bytes
    metadata_id: bytes
    namespace: bytes
    pod_name: bytes
    path: bytes
    md5: bytes
    signature: bytes

    @classmethod
    def of(cls, reference: Reference, metadata_id: bytes) -> Place:
        """The place of a reference."""
        signature, pod = reference.signature, reference.pod
        return cls(
            keys.rank_of(reference, metadata_id),
            metadata_id,
            keys.digest(pod.namespace),
            keys.digest(pod.name),
            keys.digest(signature.path),
            signature.md5,
            keys.signature_id(signature),
        )

    def signature_key(self) -> bytes:
        """The key of its row in the index by signature."""
        return keys.history(Kind.SIGNATURE, self.signature) + self.rank

    def history_keys(self) -> tuple[bytes, ...]:
        """The keys of its rows in the other indexes of all references."""
        rank = self.rank
        return (
            keys.history(Kind.NAMESPACE, self.namespace) + rank,
            keys.history(Kind.POD_NAME, self.pod_name) + rank,
            keys.history(Kind.PATH, self.path) + rank,
            keys.history(Kind.MD5, self.md5) + rank,
            keys.history(Kind.METADATA, self.metadata_id) + rank,
        )

    def head_keys(self, head: Head) -> tuple[bytes, ...]:
        """The keys of a head of the same timeline in the indexes of the newest references."""
        rank = head.rank
        return (
            keys.heads(Kind.ALL, b"") + rank,
            keys.heads(Kind.NAMESPACE, self.namespace) + rank,
            keys.heads(Kind.POD_NAME, self.pod_name) + rank,
            keys.heads(Kind.PATH, self.path) + rank,
            keys.heads(Kind.METADATA, head.metadata_id) + rank,
        )


@dataclass(frozen=True, slots=True)
class _New:
    """A reference that is not there yet."""

    timeline: Timeline
    reference: Reference
    place: Place


class Batch:
    """What a call records."""

    def __init__(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.files = files
        self.references = references
        self._metadata_ids: dict[Metadata, bytes] = {}

    def record(self, view: View) -> Change[list[Reference]]:
        """The changes that record the references as they are."""
        found = self._check(view)
        return self._recorded(view, self.references, found, self._heads(view))

    def append(self, view: View) -> Change[list[Reference]]:
        """The changes that record the references with the times at which each is the newest of its timeline."""
        found, heads = self._check(view), self._heads(view)
        newest = {timeline: keys.time_of(head.rank) for timeline, head in heads.items() if head is not None}
        return self._recorded(view, after_newest(self.references, self._timelines, newest), found, heads)

    def _heads(self, view: View) -> dict[Timeline, Head | None]:
        ids = self._timeline_ids
        found = view.get([keys.head(one) for one in ids.values()])
        read = {timeline: found.get(keys.head(one)) for timeline, one in ids.items()}
        return {timeline: None if row is None else Head.of(row) for timeline, row in read.items()}

    @cached_property
    def _timelines(self) -> Sequence[Timeline]:
        return [one.timeline for one in self.references]

    @cached_property
    def _timeline_ids(self) -> dict[Timeline, bytes]:
        return {one: keys.timeline_id(one) for one in set(self._timelines)}

    @cached_property
    def _signature_keys(self) -> dict[Signature, bytes]:
        named = chain(self.files, (one.signature for one in self.references))
        return {one: signatures.key_of(one) for one in dict.fromkeys(named)}

    def _check(self, view: View) -> dict[bytes, bytes]:
        """Everything that can be wrong with a batch but for times; returns the rows of its signatures.

        Raises:
            Conflict, UnknownContent: see `ReferenceStore.record`.
        """
        found = view.get(self._signature_keys.values())
        stored = {one: rows.to_content(found[key]) for one, key in self._signature_keys.items() if key in found}
        known = {one: content for one, content in stored.items() if content is not None}
        require_known(self.files, self.references, known)
        return found

    def _recorded(
        self,
        view: View,
        references: Sequence[Reference],
        found: Mapping[bytes, bytes],
        heads: Mapping[Timeline, Head | None],
    ) -> Change[list[Reference]]:
        change = Change(list(references))
        new = self._new(change, view, references, heads)
        stamp = os.urandom(rows.STAMP_BYTES)
        by_timeline: dict[Timeline, list[_New]] = {}
        for one in new:
            by_timeline.setdefault(one.timeline, []).append(one)
        for timeline, added in by_timeline.items():
            self._add_to_timeline(change, timeline, heads[timeline], added, stamp)
        named = {one.reference.signature for one in new}
        for signature in named:
            body = rows.of_content(None if signature.is_removal else self.files.get(signature))
            self._rely(change, found, self._signature_keys[signature], body)
        self._rely_on_ways(change, view, named)
        self._rely_on_metadata(change, view, {one.reference.metadata for one in new})
        return change

    def _new(
        self,
        change: Change[list[Reference]],
        view: View,
        references: Sequence[Reference],
        heads: Mapping[Timeline, Head | None],
    ) -> list[_New]:
        """Those of the references that are not there yet, each once."""
        placed: dict[bytes, _New] = {}
        late: dict[bytes, bytes] = {}
        for timeline, reference in zip(self._timelines, references, strict=True):
            place = Place.of(reference, self._metadata_id(reference.metadata))
            head = heads[timeline]
            placed[place.rank] = _New(timeline, reference, place)
            if head is not None and place.rank <= head.rank:
                late[keys.reference(place.rank)] = place.rank
        for key, row in view.get(late).items() if late else ():
            change.expected[key] = row  # it is to be there together with the others
            del placed[late[key]]
        return list(placed.values())

    def _metadata_id(self, metadata: Metadata) -> bytes:
        if metadata not in self._metadata_ids:
            self._metadata_ids[metadata] = keys.digest_of_bytes(rows.pack_metadata(metadata))
        return self._metadata_ids[metadata]

    def _add_to_timeline(
        self,
        change: Change[list[Reference]],
        timeline: Timeline,
        head: Head | None,
        added: Sequence[_New],
        stamp: bytes,
    ) -> None:
        identity = self._timeline_ids[timeline]
        pod = keys.pod_id(timeline.pod)
        for one in added:
            place = one.place
            change.puts[keys.reference(place.rank)] = rows.of_reference(one.reference, place.metadata_id)
            change.puts[keys.timeline(identity, place.rank)] = b""
            change.puts[place.signature_key()] = pod
            change.puts.update(dict.fromkeys(place.history_keys(), b""))
        last = max((one.place for one in added), key=lambda place: place.rank)
        now = Head(last.rank, last.metadata_id, stamp)
        if head is not None and head.rank > now.rank:
            now = Head(head.rank, head.metadata_id, stamp)
        else:
            if head is not None:
                change.deletes.update(last.head_keys(head))
            change.puts.update(dict.fromkeys(last.head_keys(now), b""))
        # The stamp changes with whatever is added: who takes the newest away looks again which one is next.
        change.expected[keys.head(identity)] = None if head is None else head.pack()
        change.puts[keys.head(identity)] = now.pack()

    def _rely(self, change: Change[list[Reference]], found: Mapping[bytes, bytes], key: bytes, body: bytes) -> None:
        """See to it that a shared row is there, and stays."""
        row = change.expected[key] = found.get(key)
        if row is None:
            change.puts[key] = shared.alive(body)
        elif shared.is_marked(row):
            change.puts[key] = shared.changed(row)

    def _rely_on_ways(self, change: Change[list[Reference]], view: View, named: Collection[Signature]) -> None:
        ways = {way.key for path in {one.path for one in named} for way in signatures.ways_to(path)}
        found = view.get(ways) if ways else {}
        for key in ways:
            self._rely(change, found, key, b"")

    def _rely_on_metadata(self, change: Change[list[Reference]], view: View, sets: set[Metadata]) -> None:
        ids = {metadata: self._metadata_id(metadata) for metadata in sets}
        found = view.get([keys.metadata(one, 0) for one in ids.values()]) if ids else {}
        for metadata, metadata_id in ids.items():
            key = keys.metadata(metadata_id, 0)
            packed = rows.of_metadata(metadata_id, rows.pack_metadata(metadata)) if key not in found else {}
            self._rely(change, found, key, packed.get(key, b""))
            for name, value in packed.items():
                change.puts.setdefault(name, value)
            for pair in metadata.items() if packed else ():
                change.puts[keys.pair(*pair, metadata_id)] = b""
