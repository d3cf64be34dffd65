"""A client with 10,000 files is done within seconds: calls and transactions are for many files, not for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Pod, ServerThread
from harness.statements import statements_executed

from client.watched import config
from kharvest.client import Summary, harvest_once
from kharvest.server._harvest import HarvestService

FILES = 10_000


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What servers of this process are called, by kind."""
    counts: Counter[str] = Counter()

    def counting(name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(HarvestService, name)

        async def method(*arguments: Any) -> Any:
            counts[name] += 1
            return await call(*arguments)

        return method

    for name in ("Announce", "Upload", "UploadBatch"):
        monkeypatch.setattr(HarvestService, name, counting(name))
    return counts


def harvest(server: str, directory: Path, pod: str) -> tuple[Summary, float]:
    """What became of all files of the directory, and the seconds that it took."""
    started = time.monotonic()
    summary = harvest_once(config(server, sorted(directory.iterdir()), pod=pod), timeout=60)
    return summary, time.monotonic() - started


@pytest.mark.slow
def test_ten_thousand_new_files_take_few_calls_and_transactions(
    tmp_path: Path, sqlite_url: str, counted: Counter[str]
) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    for number in range(FILES):
        (directory / f"{number:05}").write_text(f"{number}\n" * 20)
    with ServerThread(sqlite_url) as server, Pod(server.address, "reader") as reader:
        with statements_executed() as statements:
            summary, seconds = harvest(server.address, directory, "first")
        assert (summary.acknowledged, summary.uploaded) == (FILES, FILES)
        # A batch has 250 files at most; some go with less, while others are still being read.
        assert counted["Upload"] == 0
        assert FILES / 250 <= counted["UploadBatch"] <= 2 * FILES / 250, counted
        assert counted["Announce"] <= 3 * FILES / 250, counted
        assert statements.count("COMMIT") <= FILES / 4  # it was more than two for each file
        assert len(reader.files()) == FILES

        summary, yardstick = harvest(server.address, directory, "second")
        assert (summary.acknowledged, summary.uploaded) == (FILES, 0)
    # On an idle machine it is 2 to 3 times as long; before there were batches it was 28 times as long.
    assert seconds < max(10.0, 8 * yardstick), (seconds, yardstick)
