"""What every reference store does with a batch before it writes: refuse what is not known, and give times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from kharvest.spi._content_errors import Conflict, UnknownContent
from kharvest.spi._values import Content, Reference, Signature

K = TypeVar("K", bound=Hashable)


def require_present(
    files: Mapping[Signature, Content], present: Callable[[Collection[bytes]], Mapping[bytes, Content]] | None
) -> None:
    """See that the contents of a batch are stored; `present` is `ContentStore.present`, None where nobody can tell.

    Raises:
        UnknownContent: some are not.
    """
    if present is not None and files:
        sha256s = {content.sha256 for content in files.values()}
        if missing := sha256s - present(sha256s).keys():
            raise UnknownContent(frozenset(missing))


def require_known(
    files: Mapping[Signature, Content], references: Iterable[Reference], known: Mapping[Signature, Content]
) -> None:
    """See that a batch fits what is known: the contents of those of its signatures that are stored.

    Raises:
        Conflict, UnknownContent: see `ReferenceStore.record`.
    """
    for signature, content in files.items():
        stored = known.get(signature, content)
        if stored != content:
            raise Conflict(signature, stored, content)
    unknown = frozenset(
        signature
        for signature in {one.signature for one in references}
        if signature not in known and signature not in files and not signature.is_removal
    )
    if unknown:
        raise UnknownContent(signatures=unknown)


def after_newest(
    references: Sequence[Reference], timelines: Sequence[K], newest_ns: Mapping[K, int]
) -> list[Reference]:
    """The references at the times at which `append` records them: each behind those before it in its timeline.

    `timelines` names the timeline of each, by whatever the store knows it, and `newest_ns` has the time of the newest
    stored reference of those that have any.

    Raises:
        InvalidValue: see `Reference.after`.
    """
    last = dict(newest_ns)
    appended = []
    for reference, timeline in zip(references, timelines, strict=True):
        appended.append(reference.after(last.get(timeline)))
        last[timeline] = appended[-1].observed_at_ns
    return appended
