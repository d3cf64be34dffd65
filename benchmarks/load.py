"""A fleet of pods as cheap as it can be, so that what is measured is the server: requests are encoded beforehand."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc

from kharvest.wire import v2_pb2 as v2
from kharvest.wire.trailers import PUSHBACK_KEY
from kharvest.wire.v2_pb2_grpc import HarvestStub

OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
CONTENT_BYTES = 100


@dataclass(frozen=True, slots=True)
class Load:
    """`pods` pods at once, each announcing `batch` files a call, `calls` times."""

    pods: int
    batch: int
    calls: int

    @property
    def references(self) -> int:
        """Every call changes every file, so each file of each call is a new reference."""
        return self.pods * self.batch * self.calls


def content(number: int) -> bytes:
    """A small content, different for every number."""
    return number.to_bytes(8) * (CONTENT_BYTES // 8)


def files(batch: int, version: int) -> list[v2.File]:
    """One version of the files that all pods have."""
    return [
        v2.File(
            path=f"/etc/config/service-{number}/application.properties",
            md5=hashlib.md5(content(number * 2 + version), usedforsecurity=False).digest(),
            sha256=hashlib.sha256(content(number * 2 + version)).digest(),
            size=len(content(0)),
        )
        for number in range(batch)
    ]


def upload_all(server: str, batch: int) -> None:
    """Make both versions of the files known, so that the load is references only."""
    pod = v2.Pod(namespace="bench", name="first")
    with grpc.insecure_channel(server) as channel:
        stub = HarvestStub(channel)
        for version in (0, 1):
            wanted = files(batch, version)
            reply = stub.Announce(v2.AnnounceRequest(pod=pod, files=wanted))
            for number, (file, answer) in enumerate(zip(wanted, reply.answers, strict=True)):
                if answer == v2.UPLOAD:
                    header = v2.UploadRequest(header=v2.UploadHeader(pod=pod, file=file))
                    chunk = v2.UploadRequest(chunk=content(number * 2 + version))
                    stub.Upload(iter((header, chunk)))


def announce(server: str, load: Load, round_: int = 0) -> float:
    """Run the load; references per second."""
    return asyncio.run(_announce(server, load, round_))


async def _announce(server: str, load: Load, round_: int) -> float:
    expected = v2.AnnounceReply(answers=[v2.ACKNOWLEDGED] * load.batch).SerializeToString()
    channels = [grpc.aio.insecure_channel(server, options=OPTIONS) for _ in range(load.pods)]
    requests = [_requests(load, f"pod-{round_}-{number}") for number in range(load.pods)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))

    async def pod(channel: grpc.aio.Channel, mine: Sequence[bytes]) -> None:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/kharvest.v2.Harvest/Announce")
        for number in range(load.calls):
            reply = await _patiently(call, mine[number % 2])
            if reply != expected:
                raise AssertionError(f"not all acknowledged: {v2.AnnounceReply.FromString(reply)}")

    started = time.perf_counter()
    await asyncio.gather(*(pod(channel, mine) for channel, mine in zip(channels, requests, strict=True)))
    seconds = time.perf_counter() - started
    for channel in channels:
        await channel.close()
    return load.references / seconds


async def _patiently(call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], request: bytes) -> bytes:
    """Call, and when the server has too much to do, come back when it says, as clients do."""
    while True:
        try:
            return await call(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            pushback = dict(error.trailing_metadata()).get(PUSHBACK_KEY, "1000")
            await asyncio.sleep(int(pushback) / 1000 * random.uniform(0.75, 1.25))


def _requests(load: Load, name: str) -> list[bytes]:
    pod = v2.Pod(namespace="bench", name=name)
    metadata = {"app": "web", "app.kubernetes.io/version": "1.2.3", "pod-template-hash": name}
    return [
        v2.AnnounceRequest(pod=pod, metadata=metadata, files=files(load.batch, version)).SerializeToString()
        for version in (0, 1)
    ]


def chunks(size: int, chunk_bytes: int = 1024 * 1024) -> Iterator[bytes]:
    """Bytes to upload, different in every chunk."""
    left, number = size, 0
    while left:
        length = min(left, chunk_bytes)
        yield (number.to_bytes(8) * (length // 8 + 1))[:length]
        left -= length
        number += 1
