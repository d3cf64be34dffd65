"""Peers of other versions: what `docs/reference/versions.md` says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from harness import Pod, ServerThread, announced

from kharvest.wire import v2_pb2 as v2

# Field 2047, of wire type 2, as a newer peer might send.
UNKNOWN_FIELD = bytes([0xFA, 0x7F, 3]) + b"new"


def call(address: str, method: str, request: bytes, reply: Any) -> Any:
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary(
            f"/kharvest.v2.{method}", request_serializer=bytes, response_deserializer=reply.FromString
        )(request, timeout=30)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread("memory:") as running, Pod(running.address) as pod:
        pod.harvest_files({"/etc/a": b"a", "/etc/b": b"b"})
        yield running


def test_a_server_ignores_fields_that_a_newer_client_announces_with(server: ServerThread) -> None:
    request = v2.AnnounceRequest(pod=v2.Pod(namespace="shop", name="web-2"), files=[announced("/etc/a", b"a")])
    reply = call(server.address, "Harvest/Announce", request.SerializeToString() + UNKNOWN_FIELD, v2.AnnounceReply)
    assert list(reply.answers) == [v2.ACKNOWLEDGED]


def test_a_filter_that_a_server_does_not_know_does_not_restrict(server: ServerThread) -> None:
    newer = v2.Filter.FromString(v2.Filter(pod="web-1").SerializeToString() + UNKNOWN_FIELD)
    request = v2.ReferencesRequest(filter=newer).SerializeToString()
    assert UNKNOWN_FIELD in request
    assert len(call(server.address, "Query/References", request, v2.ReferencesReply).references) == 2


def test_a_client_without_the_newer_fields_is_served(server: ServerThread) -> None:
    request = v2.AnnounceRequest(pod=v2.Pod(namespace="shop", name="old"), files=[announced("/etc/b", b"b")])
    assert not request.session
    with Pod(server.address, "old") as pod:
        assert list(pod.harvest.Announce(request, timeout=30).answers) == [v2.ACKNOWLEDGED]
