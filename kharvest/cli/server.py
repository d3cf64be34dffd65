"""`kharvest server`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
from dataclasses import fields
from pathlib import Path

from kharvest.cli.exits import Exit
from kharvest.cli.logs import configure_logs
from kharvest.registry import Secrets
from kharvest.server import Server, ServerConfig
from kharvest.spi import InvalidValue


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where to keep everything, such as sqlite:///kharvest.db (default: $KHARVEST_STORE, unseen by `ps`)",
    )
    parser.add_argument("--store-file", metavar="FILE", type=Path, help="read the URL of --store from this file")
    parser.add_argument(
        "--contents",
        metavar="URL",
        help="keep contents here, and only references in --store (default: $KHARVEST_CONTENTS)",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where to answer; port 0 takes a free one (default: $KHARVEST_LISTEN or 127.0.0.1:50051)",
    )
    parser.add_argument(
        "--listen-original",
        metavar="HOST:PORT",
        help="answer the original protocol here too, in messages of up to --max-original-bytes; those on --listen then "
        "hold 4 MiB (default: $KHARVEST_LISTEN_ORIGINAL or nowhere)",
    )
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics here (default: nowhere)")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="of the log (default: text)")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="log no lines below this level (default: info)",
    )
    limits = parser.add_argument_group("limits and times")
    for setting in fields(ServerConfig):
        if "help" in setting.metadata:
            limits.add_argument(
                f"--{setting.name.replace('_', '-')}",
                type=type(setting.default),
                metavar="N",
                default=setting.default,
                help=f"{setting.metadata['help']} (default: {setting.default})",
            )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Writes one line to stdout when it listens: `listening on HOST:PORT`."""
    # Announcements are many small values and no cycles. At Python's own thresholds a third of the time went into
    # looking for cycles among them (benchmarks/harvest.py, batches of 500).
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    settings = {setting.name: getattr(arguments, setting.name) for setting in fields(ServerConfig)}
    settings["store"] = _store_url(arguments)
    # The environment is read here, not where the parser is made: so no help shows what is in it.
    if arguments.contents is None:
        settings["contents"] = os.environ.get("KHARVEST_CONTENTS")
    if arguments.listen is None:
        settings["listen"] = os.environ.get("KHARVEST_LISTEN", "127.0.0.1:50051")
    if arguments.listen_original is None:
        settings["listen_original"] = os.environ.get("KHARVEST_LISTEN_ORIGINAL")
    configure_logs(arguments.log_format, arguments.log_level, Secrets(settings["store"], settings["contents"]))
    return asyncio.run(_serve(ServerConfig(**settings)))


def _store_url(arguments: argparse.Namespace) -> str:
    if arguments.store and arguments.store_file:
        raise InvalidValue("--store-file", "--store is given too", "give one of them")
    if arguments.store_file:
        try:
            return str(arguments.store_file.read_text().strip())
        except OSError as error:
            raise InvalidValue("--store-file", str(error), "name a file that can be read") from error
    url = arguments.store or os.environ.get("KHARVEST_STORE")
    if not url:
        raise InvalidValue("--store", "no store is named", "give its URL, such as sqlite:///kharvest.db")
    return str(url)


async def _serve(config: ServerConfig) -> Exit:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[Exit] = loop.create_future()

    def stop(code: Exit) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, stop, Exit.OK)
    loop.add_signal_handler(signal.SIGINT, stop, Exit.INTERRUPTED)
    server = Server(config)
    serving = asyncio.create_task(_until(server, stopped))
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    if stopped.done() and not server.is_serving:
        serving.cancel()  # it still waits for its store
        await asyncio.wait([serving])
        return stopped.result()
    return await serving


async def _until(server: Server, stopped: asyncio.Future[Exit]) -> Exit:
    async with server:
        print(f"listening on {server.address}", flush=True)
        return await stopped
