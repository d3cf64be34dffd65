"""The server's logs: structured, on stderr."""

from __future__ import annotations

import logging
import sys

import structlog

from kharvest.cli.text import one_line
from kharvest.registry import Secrets


def configure_logs(log_format: str, level: str, secrets: Secrets) -> None:
    """Send all logs to stderr, as text for people or one JSON object a line; drivers' too, without secrets."""

    def mask(_logger: object, _method: str, line: object) -> str:
        return secrets.mask(str(line))

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _printable,
    ]
    rendering: list[structlog.typing.Processor]
    if log_format == "json":
        rendering = [structlog.processors.JSONRenderer()]
    else:
        rendering = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, mask],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what is not printable, so that no name in a record can end its line or command a terminal.

    A traceback keeps its lines. It is text already, without the values of variables: one of them may be a password.
    """
    for key, value in event.items():
        if key == "exception":
            event[key] = "\n".join(map(one_line, str(value).split("\n")))
        elif isinstance(value, str):
            event[key] = one_line(value)
    return event
