"""What a store should hold, as plain dictionaries: it shares no code with any store.

The one thing it cannot know is the order that a store chose among references of one time. So it is given the store's
own listing of everything, checks that, and derives from it what every other query must answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kharvest.spi import MAX_TIME_NS, Content, FileSummary, Order, Pod, Query, Reference, Signature, Timeline


@dataclass(slots=True)
class Model:
    """Contents with their bytes, references with their files, and leases."""

    contents: dict[bytes, tuple[Content, bytes]] = field(default_factory=dict)
    references: set[Reference] = field(default_factory=set)
    files: dict[Signature, Content] = field(default_factory=dict)
    leases: dict[bytes, tuple[str, int]] = field(default_factory=dict)

    def record(self, files: Mapping[Signature, Content], references: Iterable[Reference]) -> None:
        """Record what is valid: to say what is not is the caller's part."""
        for reference in references:
            self.references.add(reference)
            if not reference.signature.is_removal and reference.signature not in self.files:
                self.files[reference.signature] = files[reference.signature]

    def append(self, files: Mapping[Signature, Content], references: Iterable[Reference]) -> list[Reference]:
        """Record what is valid as the newest of its timelines; what was recorded."""
        recorded = self.appended(references)
        self.record(files, recorded or ())
        return recorded or []

    def appended(self, references: Iterable[Reference]) -> list[Reference] | None:
        """References with the times at which they would be appended; None if no time is left for one."""
        last: dict[Timeline, int] = {}
        for one in self.references:
            last[one.timeline] = max(one.observed_at_ns, last.get(one.timeline, 0))
        appended = []
        for reference in references:
            timeline = reference.timeline
            at_ns = max(reference.observed_at_ns, last.get(timeline, -1) + 1)
            if at_ns > MAX_TIME_NS:
                return None
            appended.append(Reference(reference.signature, reference.pod, reference.metadata, at_ns))
            last[timeline] = at_ns
        return appended

    def forget(self, references: Collection[Reference]) -> None:
        """Remove references, and the files that none names any more."""
        self.references -= set(references)
        named = {reference.signature for reference in self.references}
        self.files = {signature: content for signature, content in self.files.items() if signature in named}

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """Which keys the holder holds after claiming them."""
        held = set()
        for key in keys:
            owner, end = self.leases.get(key, (holder, 0))
            if owner == holder or end <= now_ns:
                self.leases[key] = (holder, until_ns)
                held.add(key)
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """End the holder's leases."""
        for key in keys:
            if self.leases.get(key, ("", 0))[0] == holder:
                del self.leases[key]


def matching(listing: Sequence[Reference], query: Query) -> list[Reference]:
    """The references of a complete listing, oldest first, that match `query`, in its order; limit and cursor apart."""
    found = [reference for reference in listing if query.until_ns is None or reference.observed_at_ns < query.until_ns]
    if query.latest:
        # Of plain strings: it is asked for thousands of times.
        last = {(one.pod.namespace, one.pod.name, one.pod.uid, one.signature.path): at for at, one in enumerate(found)}
        found = [found[at] for at in sorted(last.values())]
    found = [reference for reference in found if _fits(reference, query)]
    return found if query.order is Order.OLDEST_FIRST else found[::-1]


def _fits(reference: Reference, query: Query) -> bool:
    path = reference.signature.path
    return (
        (query.path is None or path == query.path)
        and (query.path_prefix is None or path[: len(query.path_prefix)] == query.path_prefix)
        and (query.md5 is None or reference.signature.md5 == query.md5)
        and (query.namespace is None or reference.pod.namespace == query.namespace)
        and (query.pod is None or reference.pod.name == query.pod)
        and (query.uid is None or reference.pod.uid == query.uid)
        and all(reference.metadata.get(key) == value for key, value in query.metadata.items())
        and (query.since_ns is None or reference.observed_at_ns >= query.since_ns)
    )


def newest(listing: Sequence[Reference]) -> dict[Timeline, Reference]:
    """The last reference of each timeline."""
    return {reference.timeline: reference for reference in listing}


def summaries(references: Iterable[Reference], files: Mapping[Signature, Content]) -> list[FileSummary]:
    """What the references say of their files, by path and MD5."""
    seen: dict[Signature, list[tuple[Pod, int]]] = {}
    for reference in references:
        if not reference.signature.is_removal:
            seen.setdefault(reference.signature, []).append((reference.pod, reference.observed_at_ns))
    return [
        FileSummary(
            signature,
            files[signature],
            len({pod for pod, _at in sightings}),
            min(at for _pod, at in sightings),
            max(at for _pod, at in sightings),
        )
        for signature, sightings in sorted(seen.items(), key=lambda item: (item[0].path, item[0].md5))
    ]
