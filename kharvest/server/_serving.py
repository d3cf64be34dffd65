"""A whole server: listens, opens the store, puts the parts together, and takes them apart again in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kharvest.registry import open_store
from kharvest.server._admission import Admission, Services
from kharvest.server._announcing import AnnounceHandler
from kharvest.server._availability import Availability
from kharvest.server._budget import Memory
from kharvest.server._clock import Clock, StoreClock
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._harvest import HarvestService
from kharvest.server._identities import Identities
from kharvest.server._lanes import Lane
from kharvest.server._legacy import STORE, STORE_METHOD, LegacyHarvestService, LegacyUserService
from kharvest.server._metrics import Metrics
from kharvest.server._metrics_page import MetricsPage
from kharvest.server._query import QueryService
from kharvest.server._record_queue import RecordQueue
from kharvest.server._recording import Recorder
from kharvest.server._uploads import Uploads
from kharvest.spi import Capability, InvalidValue, KharvestError, Store, StoreDenied, StoreUnavailable, mask_url
from kharvest.wire import legacy_pb2, v2_pb2
from kharvest.wire.legacy_pb2_grpc import add_KharvestServicer_to_server, add_KharvestUserAPIServicer_to_server
from kharvest.wire.v2_pb2_grpc import add_HarvestServicer_to_server, add_QueryServicer_to_server

logger = logging.getLogger(__name__)

QUERY_THREADS = 4
CLOCK_SECONDS = 10.0
"""How often the store is asked for its clock."""
HEALTH_CALLS = 200
LIVENESS = "liveness"
"""What the health service calls this process, which is alive whether its store is or not."""
RETRY_SECONDS = 2.0
"""How often a store that is away at start is tried."""

SERVICES = tuple(
    service.full_name for module in (v2_pb2, legacy_pb2) for service in module.DESCRIPTOR.services_by_name.values()
)


@dataclass(frozen=True, slots=True)
class _Port:
    """One of the server's ports. `services` stands in for the server where services are added that need the store."""

    server: grpc.aio.Server
    admission: Admission
    services: grpc.aio.Server
    message_bytes: int


class CannotListen(KharvestError):
    """An address cannot be listened on."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}; name a free address of this machine")
        self.address = address


class Server:
    """A server on one event loop; an asynchronous context manager that serves while it is open.

    Entering listens and opens the store, and waits for one that is away; until it is open nothing but health is
    answered. Leaving does what SIGTERM should: says NOT_SERVING, lets running calls finish within the grace period,
    then closes the store.

    Raises, on entering:
        KharvestError: the store cannot be opened (see `kharvest.registry.open_store`), or CannotListen.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self.port = 0
        self.original_port: int | None = None
        self.metrics_port: int | None = None
        self.is_serving = False
        self._exits = AsyncExitStack()
        self._health = health.aio.HealthServicer()

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
        config, metrics = self.config, self.metrics
        memory = Memory.of(config)
        await self._listen_for_metrics(exits)
        main = self._main_server(memory)
        ports = [main]
        self.port = _listen(main.server, config.listen)
        if config.listen_original is not None:
            ports.append(self._original_server(memory))
            self.original_port = _listen(ports[-1].server, config.listen_original)
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        await self._say(is_serving=False)
        for port in ports:
            exits.push_async_callback(port.server.stop, None)
            await port.server.start()

        availability = Availability(metrics, lambda is_up: self._changed(is_serving=is_up))
        store = await self._open(availability)
        exits.push_async_callback(_in_thread, store.close)
        commits, claims, streams, puts, queries, probes = (
            exits.enter_context(ThreadPoolExecutor(threads, thread_name_prefix=name))
            for name, threads in (
                ("commit", 1),
                ("claim", 1),
                ("upload", config.max_uploads),
                ("put", config.max_puts),
                ("query", QUERY_THREADS),
                ("probe", 1),
            )
        )
        clock = Clock()
        queue = RecordQueue(Recorder(store, config.max_known_bytes).record, commits, config)
        elections = Elections(store, claims, StoreClock(store.now_ns, CLOCK_SECONDS), config)
        announcing = AnnounceHandler(queue, elections, memory.held, metrics, config)
        uploads = Uploads(store, streams, puts, queue, elections, memory.contents, metrics, config)
        queue.start()
        exits.push_async_callback(queue.close)
        elections.start()
        exits.push_async_callback(elections.close)
        availability.start(store, probes)
        exits.push_async_callback(availability.close)

        harvest = HarvestService(announcing, uploads, clock, Identities(metrics), metrics, config)
        original = LegacyHarvestService(announcing, uploads, clock, config)
        add_HarvestServicer_to_server(harvest, main.services)
        add_QueryServicer_to_server(
            QueryService(store, queries, memory.content_readers, metrics, config), main.services
        )
        for port in ports:
            add_KharvestServicer_to_server(original, port.services)
            add_KharvestUserAPIServicer_to_server(LegacyUserService(store, queries, port.message_bytes), port.services)
            port.admission.open()

        async def stop() -> None:
            await self._health.enter_graceful_shutdown()
            announcing.drain()
            await asyncio.gather(*(port.server.stop(config.grace_seconds) for port in ports))

        exits.push_async_callback(stop)
        await self._say(is_serving=True)
        self.is_serving = True
        logger.info("listening", extra={"address": self.address, "store": mask_url(config.store)})

    async def _open(self, availability: Availability) -> Store:
        """Open the store, as often as it takes while it is away."""
        loop = asyncio.get_running_loop()
        config = self.config
        deadline = loop.time() + config.start_seconds
        said = ""
        while True:
            try:
                store = await _opened(config, availability)
            except StoreUnavailable as error:
                if isinstance(error, StoreDenied) or loop.time() >= deadline:
                    raise
                if str(error) != said:
                    said = str(error)
                    logger.warning("waiting for the store, up to %g s: %s", config.start_seconds, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if Capability.DURABLE not in store.capabilities:
                    logger.warning("this store is not durable: what is acknowledged is lost when the server ends")
                return store

    async def _listen_for_metrics(self, exits: AsyncExitStack) -> None:
        if self.config.metrics is None:
            return
        page = MetricsPage(self.metrics.registry)
        exits.push_async_callback(page.close)
        host, port = _host_and_port(self.config.metrics)
        is_open = not self.config.metrics.rpartition(":")[0]
        try:
            # Without a host on interfaces of both kinds, as gRPC listens too.
            self.metrics_port = await page.start(None if is_open else host.strip("[]"), port)
        except OSError as error:
            raise CannotListen(self.config.metrics, str(error)) from error

    def _main_server(self, memory: Memory) -> _Port:
        config = self.config
        rest = max(4, memory.readers - 1)  # one is for health, whatever else happens
        few = max(1, rest // 8)
        store = max(1, rest // 4)
        announce = Lane("announcements", config.max_calls, rest - store - 2 * few, memory.messages)
        port = self._port(
            config.message_bytes,
            {
                "": Lane("queries", config.max_streams, few, memory.messages, memory.replies),
                "/kharvest.v2.Harvest/Upload": Lane("uploads", config.max_streams, few, memory.messages),
                "kharvest.v2.Harvest": announce,
                "kharvest.Kharvest": announce,
                STORE_METHOD: Lane("contents of original clients", config.max_streams, store, memory.contents),
                health.SERVICE_NAME: Lane("health", HEALTH_CALLS, 1, memory.messages),
            },
        )
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, port.server)
        return port

    def _original_server(self, memory: Memory) -> _Port:
        config = self.config
        return self._port(
            config.max_original_bytes,
            {
                "": Lane("queries", config.max_streams, 1, memory.messages, memory.replies),
                "kharvest.Kharvest": Lane("announcements", config.max_calls, 1, memory.messages),
                STORE_METHOD: Lane(
                    "contents of original clients", config.max_streams, memory.original_readers, memory.original
                ),
                health.SERVICE_NAME: Lane("health", HEALTH_CALLS, 1, memory.messages),
            },
        )

    def _port(self, message_bytes: int, lanes: dict[str, Lane]) -> _Port:
        admission = Admission(lanes, self.metrics, self.config, decoders={STORE_METHOD: STORE})
        server = grpc.aio.server(interceptors=[admission], options=self._options(message_bytes))
        services = Services()
        server.add_generic_rpc_handlers([services])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return _Port(server, admission, cast("grpc.aio.Server", services), message_bytes)

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        host, _port = _host_and_port(self.config.listen)
        return f"{host}:{self.port}"

    async def _say(self, *, is_serving: bool) -> None:
        """Let health tell whether calls are of any use now."""
        status = health_pb2.HealthCheckResponse
        for name in ("", *SERVICES):
            await self._health.set(name, status.SERVING if is_serving else status.NOT_SERVING)

    def _changed(self, *, is_serving: bool) -> None:
        self._saying = asyncio.create_task(self._say(is_serving=is_serving), name="health")

    def _options(self, message_bytes: int) -> list[tuple[str, int]]:
        calls = self.config.max_calls + 2 * self.config.max_streams + HEALTH_CALLS
        return [
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a lottery
            # Compressed messages are refused: 28 KiB can stand for more than the memory of a server.
            ("grpc.compression_enabled_algorithms_bitset", 1),
            # What is sent before anybody reads it stays within HTTP/2's first window, 64 KiB a call: a window that is
            # enlarged by probing the bandwidth would let a call that waits for its turn fill it with a whole message.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.max_concurrent_streams", self.config.max_streams),
            # Calls beyond the first of these are cancelled at random, beyond the second all of them: before we see any.
            ("grpc.server.max_pending_requests", calls),
            ("grpc.server.max_pending_requests_hard_limit", 2 * calls),
            # Clients may look whether we are alive while they wait, as often as every 10 s.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.http2.max_ping_strikes", 0),
            # And we look whether they are: an upload of a machine that is gone ends without a word.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]


async def _opened(config: ServerConfig, availability: Availability) -> Store:
    """Open the store on a thread. One that is open too late, when nobody waits for it any more, is closed again."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="open")
    opening = executor.submit(open_store, config.store, config.contents, availability.observe)
    executor.shutdown(wait=False)
    try:
        return await asyncio.wrap_future(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise


def _close_late(opening: Future[Store]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _in_thread(function: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function)


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
        # gRPC has logged the cause itself; the rest of its message says how to see more of that.
        raise CannotListen(address, str(error).partition(";")[0]) from error
