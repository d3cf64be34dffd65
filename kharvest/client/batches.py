"""Small contents on their way to the server, many in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kharvest.client.connection import Failure, Trouble, refused
from kharvest.client.errors import Changed
from kharvest.client.files import Stamp, Version, read_whole
from kharvest.client.tracks import Track
from kharvest.wire import v2_pb2

MAX_FILES = 250


@dataclass(slots=True)
class Parcel:
    """One file of a batch. `stamp` is None if it is known to have changed; `is_packed`: its bytes went along."""

    track: Track
    version: Version
    stamp: Stamp | None
    is_packed: bool = False


def pack(parcels: Sequence[Parcel], headers: Sequence[v2_pb2.File], request: v2_pb2.UploadBatchRequest) -> None:
    """Add the files' bytes to the request. One that has changed goes without: the server then asks another pod."""
    for parcel, header in zip(parcels, headers, strict=True):
        content = None if parcel.stamp is None else read_whole(parcel.track.path, parcel.stamp)
        parcel.is_packed = content is not None
        request.contents.add(file=header, content=content)


def outcomes(
    parcels: Sequence[Parcel], answer: v2_pb2.UploadBatchReply | Failure
) -> list[v2_pb2.UploadReply | Failure | Changed]:
    """What became of each file, as if it had been uploaded by itself."""
    if isinstance(answer, Failure):
        return [answer if parcel.is_packed else Changed() for parcel in parcels]
    refusals = {refusal.index: refusal for refusal in answer.refusals}
    pushback = answer.retry_after_ms / 1000 if answer.retry_after_ms else None
    told = []
    for index, parcel in enumerate(parcels):
        told.append(Changed() if not parcel.is_packed else _outcome(index, answer, refusals.get(index), pushback))
    return told


def _outcome(
    index: int, answer: v2_pb2.UploadBatchReply, refusal: v2_pb2.Refusal | None, pushback: float | None
) -> v2_pb2.UploadReply | Failure:
    arrival = answer.arrivals[index] if index < len(answer.arrivals) else v2_pb2.ARRIVAL_UNSPECIFIED
    if arrival in (v2_pb2.STORED, v2_pb2.ALREADY_STORED):
        return v2_pb2.UploadReply(already_stored=arrival == v2_pb2.ALREADY_STORED)
    if refusal is None:
        return Failure(Trouble.BUSY, "UNANSWERED", "the server did not say what became of it")
    return refused(v2_pb2.Reason.Name(refusal.reason), refusal.message, pushback)
