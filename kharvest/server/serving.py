"""A whole server: opens the store, puts the parts together, listens, and takes them apart again in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from kharvest.registry import open_store
from kharvest.server.announcing import Announcer
from kharvest.server.batches import BatchReceiver
from kharvest.server.clock import Clock
from kharvest.server.config import ServerConfig
from kharvest.server.elections import Elections
from kharvest.server.harvest import HarvestService
from kharvest.server.ledger import Ledger
from kharvest.server.legacy import LegacyHarvestService, LegacyUserService
from kharvest.server.metrics import Metrics
from kharvest.server.query import QueryService
from kharvest.server.receiving import Receiver
from kharvest.server.settling import Settler
from kharvest.spi import InvalidValue, KharvestError, mask_url
from kharvest.wire import legacy_pb2, v2_pb2
from kharvest.wire.legacy_pb2_grpc import add_KharvestServicer_to_server, add_KharvestUserAPIServicer_to_server
from kharvest.wire.v2_pb2_grpc import add_HarvestServicer_to_server, add_QueryServicer_to_server

logger = logging.getLogger(__name__)

QUERY_THREADS = 4

SERVICES = tuple(
    service.full_name for module in (v2_pb2, legacy_pb2) for service in module.DESCRIPTOR.services_by_name.values()
)


class CannotListen(KharvestError):
    """An address cannot be listened on."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}; name a free address of this machine")
        self.address = address


class Server:
    """A server on one event loop; an asynchronous context manager that serves while it is open.

    Entering opens the store and listens; leaving does what SIGTERM should: says NOT_SERVING, lets running calls finish
    within the grace period, then closes the store.

    Raises, on entering:
        KharvestError: the store cannot be opened (see `kharvest.registry.open_store`), or CannotListen.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self.port = 0
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _start(self, exits: AsyncExitStack) -> None:
        config = self.config
        loop = asyncio.get_running_loop()
        store = await loop.run_in_executor(None, open_store, config.store, config.contents, self.metrics.observe_store)
        exits.callback(store.close)
        commits, claims, uploads, puts, queries = (
            exits.enter_context(ThreadPoolExecutor(threads, thread_name_prefix=name))
            for name, threads in (
                ("commit", 1),
                ("claim", 1),
                ("upload", config.max_uploads),
                ("put", config.max_puts),
                ("query", QUERY_THREADS),
            )
        )
        clock = Clock()
        ledger = Ledger(Settler(store, config.max_known), commits, config)
        elections = Elections(store, claims, clock, config)
        announcer = Announcer(ledger, elections, self.metrics, config)
        receiver = Receiver(store, uploads, ledger, elections, self.metrics, config)
        batches = BatchReceiver(store, puts, ledger, elections, self.metrics, config)
        ledger.start()
        exits.push_async_callback(ledger.close)
        elections.start()
        exits.push_async_callback(elections.close)

        server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=config.max_calls)
        healthy = health.aio.HealthServicer()
        harvest = HarvestService(announcer, receiver, batches, clock, self.metrics, config)
        add_HarvestServicer_to_server(harvest, server)
        add_QueryServicer_to_server(QueryService(store, queries, self.metrics), server)
        add_KharvestServicer_to_server(LegacyHarvestService(announcer, receiver, clock, self.metrics, config), server)
        add_KharvestUserAPIServicer_to_server(LegacyUserService(store, queries, self.metrics, config), server)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        self.port = _listen(server, config.listen)
        if config.metrics is not None:
            exits.callback(_serve_metrics(config.metrics, self.metrics))
        await server.start()

        async def stop() -> None:
            await healthy.enter_graceful_shutdown()
            announcer.drain()
            await server.stop(config.grace_seconds)

        exits.push_async_callback(stop)
        for name in ("", *SERVICES):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        logger.info("listening", extra={"address": self.address, "store": mask_url(config.store)})

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        host, _port = _host_and_port(self.config.listen)
        return f"{host}:{self.port}"

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self.config.max_message_bytes),
            ("grpc.max_send_message_length", self.config.max_message_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a lottery
            # Clients may look whether we are alive while they wait, as often as every 10 s.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.http2.max_ping_strikes", 0),
            # And we look whether they are: an upload of a machine that is gone ends without a word.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:  # noqa: PLR2004
        raise InvalidValue("address", f"{address!r} is not HOST:PORT", "write it like 127.0.0.1:50051")
    return host or "0.0.0.0", int(port)  # noqa: S104 - an empty host means every interface, as everywhere


def _listen(server: grpc.aio.Server, address: str) -> int:
    host, port = _host_and_port(address)
    try:
        return server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise CannotListen(address, str(error)) from error


def _serve_metrics(address: str, metrics: Metrics) -> Callable[[], None]:
    host, port = _host_and_port(address)
    if not address.rpartition(":")[0] and socket.has_dualstack_ipv6():
        host = "::"  # of both kinds, as gRPC listens too
    try:
        page, thread = start_http_server(port, host.strip("[]"), metrics.registry)
    except OSError as error:
        raise CannotListen(address, str(error)) from error

    def stop() -> None:
        page.shutdown()
        page.server_close()
        thread.join()

    return stop
