"""What random sequences are made of: so little that the same comes again and again, and looks alike."""

from __future__ import annotations

from collections.abc import Sequence

from kharvest.spi import MAX_TIME_NS, REMOVED, Metadata, Order, Pod, Query, Reference, Timeline
from kharvest_conformance._dice import Dice
from kharvest_conformance._samples import AGAIN, BLOCK, OTHER, TODAY, WEB, File, Sample, Twin, removed

SAMPLES = (Sample(10), Sample(10, 1), Sample(0), Sample(BLOCK + 1), Twin(0), Twin(1))
PATHS = ("/etc/app", "/etc/App", "/etc/app/%", "/caf\u00e9")
PODS = (WEB, OTHER, AGAIN, Pod("", ""))
TAGS = (Metadata(), Metadata({"app": "web"}), Metadata({"app": "Web", "a.b/$c": ""}))
TIMES = tuple(TODAY + number for number in range(3))
KEYS = (b"k", b"K")
HOLDERS = ("one", "One")

SIGNATURES = tuple({File(path, sample).signature: None for path in PATHS for sample in SAMPLES})
TIMELINES = tuple(Timeline(pod, path) for pod in PODS for path in PATHS)
DIGESTS = tuple(sample.content.sha256 for sample in SAMPLES)

# What is named more often is taken more often: a few timelines have long histories, and the others are there.
_OFTEN_SAMPLES = (*SAMPLES[:2] * 2, *SAMPLES[2:4], *SAMPLES[4:] * 3)
_OFTEN_PATHS = (*PATHS[:1] * 4, *PATHS[:2], *PATHS)
_OFTEN_PODS = (*PODS[:1] * 3, *PODS)
_OFTEN_TAGS = (*TAGS[:1] * 2, *TAGS)
_OFTEN_TIMES = (*TIMES[1:], *TIMES) * 8 + (0, MAX_TIME_NS)
_LIMITS = (1000, 1, 2, 3)
FEW = (1, 2, 1, 3, 1000)
"""Limits with which most of what matches is left."""
_RESTRICTIONS = (
    "path",
    "path_prefix",
    "md5",
    "namespace",
    "pod",
    "uid",
    "metadata",
    "since_ns",
    "until_ns",
    "until_ns",
    "until_ns",
)


def file(dice: Dice) -> File:
    """Any file."""
    return File(dice.of(_OFTEN_PATHS), dice.of(_OFTEN_SAMPLES))


def sample(dice: Dice) -> Sample:
    """Any content."""
    return dice.of(SAMPLES)


def sighting(dice: Dice, before: Sequence[tuple[File, Reference]]) -> tuple[File, Reference]:
    """A file and a reference to it, or to its removal: one that there was before, or any."""
    if before and dice.once_in(3):
        return dice.of(before[-12:] if dice.once_in(2) else before[-100:])
    seen = file(dice)
    at, pod, tags = dice.of(_OFTEN_TIMES), dice.of(_OFTEN_PODS), dice.of(_OFTEN_TAGS)
    if dice.once_in(6):
        return seen, removed(seen.path, at, pod, tags)
    return seen, seen.seen(at, pod, tags)


def batch(dice: Dice, before: Sequence[tuple[File, Reference]]) -> list[tuple[File, Reference]]:
    """One to four sightings, and sometimes one of them twice."""
    found = [sighting(dice, before) for _number in range(dice.of((1, 1, 2, 3, 4)))]
    return [*found, found[0]] if dice.once_in(6) else found


def query(dice: Dice, there: Sequence[Reference], limits: Sequence[int] = _LIMITS) -> Query:
    """A query with up to three restrictions, mostly such that something of what is there matches."""
    asked: dict[str, object] = {}
    model = dice.of(there[-100:]) if there and not dice.once_in(5) else sighting(dice, ())[1]
    for _number in range(dice.of((0, 1, 1, 1, 2, 2, 3))):
        name = dice.of(_RESTRICTIONS)
        asked[name] = _restriction(name, model, dice)
    if "path" in asked:
        asked.pop("path_prefix", None)
    return Query(
        latest=not dice.once_in(3) if "until_ns" in asked else dice.once_in(2),
        order=dice.of(tuple(Order)),
        limit=dice.of(limits),
        **asked,  # type: ignore[arg-type]
    )


def _restriction(name: str, model: Reference, dice: Dice) -> object:
    """What one parameter of a query must be for a reference to match."""
    at = model.observed_at_ns
    match name:
        case "path":
            return model.signature.path
        case "path_prefix":
            path = model.signature.path
            return path[: dice.of((len(path), 5, 1, 9))]
        case "md5":
            return model.signature.md5 if not dice.once_in(4) else REMOVED
        case "namespace":
            return model.pod.namespace
        case "pod":
            return model.pod.name
        case "uid":
            return model.pod.uid
        case "metadata":
            return dice.of((model.metadata, Metadata(dict(list(model.metadata.items())[:1]))))
        case "since_ns":
            return max(0, at - dice.below(2))
        case _:
            return min(MAX_TIME_NS, at + dice.below(3))
