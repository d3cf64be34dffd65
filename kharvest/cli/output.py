"""How answers are written: tables for people, JSON for programs. The JSON fields are stable."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from tabulate import tabulate

Json = str | int | None | Mapping[str, str]


def write_json(objects: Iterable[Mapping[str, Json]]) -> None:
    """Write a JSON array, an object a line, as they come."""
    opened = False
    for one in objects:
        sys.stdout.write(",\n " if opened else "[")
        sys.stdout.write(json.dumps(one))
        opened = True
    sys.stdout.write("]\n" if opened else "[]\n")
    sys.stdout.flush()


def write_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table without rules, every cell printable."""
    cells = [[printable(cell) for cell in row] for row in rows]
    print(tabulate(cells, headers, tablefmt="plain", disable_numparse=True))


def printable(text: str) -> str:
    """The text with what would disturb a terminal written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def rfc3339(time_ns: int) -> str:
    """The time in UTC, to the nanosecond where it has any."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time_ns)
    return stamp.ToJsonString()


def pairs(metadata: Mapping[str, str]) -> str:
    """The metadata as K=V,K=V."""
    return ",".join(f"{key}={value}" for key, value in sorted(metadata.items()))
