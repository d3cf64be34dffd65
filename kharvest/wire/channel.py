"""The channel to a server: what holds for every client of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

import grpc

CONNECT_SECONDS = 4.0
"""How long a connection may take until the server speaks HTTP/2. gRPC would wait 20 s for a port that is mute.

Later attempts have longer, as gRPC gives each as much time as the wait after it.
"""
_OPTIONS = (
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 15_000),
)
_PROXY = re.compile(r"http://(?:[^\s/@]+@)?[^\s/@]+:\d+/?")


def check_proxy(url: str) -> None:
    """Require the URL of an HTTP proxy; gRPC ignores in silence what is none.

    Raises:
        ValueError: it is none.
    """
    if not _PROXY.fullmatch(url):
        raise ValueError("it is not the URL of an HTTP proxy")  # which may hold a password


def open_channel(target: str, *, proxy: str | None = None, options: Sequence[tuple[str, int]] = ()) -> grpc.Channel:
    """Open a channel: directly, or through an HTTP proxy by CONNECT.

    The variables `http_proxy`, `https_proxy` and `grpc_proxy` are not followed: they are there for the world outside,
    and a server of ours is a neighbour in the cluster. Where a proxy is given, gRPC still connects directly to the
    hosts that the variable `no_proxy` names.

    Raises:
        ValueError: the proxy's URL is none.
    """
    if proxy is None:
        return grpc.insecure_channel(target, options=(*_OPTIONS, ("grpc.enable_http_proxy", 0), *options))
    check_proxy(proxy)
    return grpc.insecure_channel(target, options=(*_OPTIONS, ("grpc.http_proxy", proxy), *options))
