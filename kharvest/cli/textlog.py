"""The client's log: text on stderr, without the costs of a library."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from kharvest.cli.text import one_line


class _Formatter(logging.Formatter):
    """Writes each record so that no name in it can end its line or reach the terminal as a control character."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802  # logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return "\n".join(map(one_line, super().formatException(ei).split("\n")))


def configure_text_log(level: str) -> None:
    """Send all logs to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
