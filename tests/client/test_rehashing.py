"""The rounds over all files read each of them in its time, and cost no more than their share."""

from __future__ import annotations

from itertools import pairwise

from kharvest.client._config.rules import path_rule
from kharvest.client._watch.content import Reading, Stamp, Version
from kharvest.client._watch.files import WatchedFile
from kharvest.client._watch.location import Location
from kharvest.client._watch.rehashing import RehashRounds


def read_file(path: str) -> WatchedFile:
    """A file that was read before."""
    reading = Reading(Location(path), Stamp(1, 1, 1, 1, 1), Version(b"m" * 16, b"s" * 32, 1))
    return WatchedFile(path, path_rule(path), reading=reading)


class Clock:
    """Lets rounds run in a time of their own, and answers for the reading."""

    def __init__(self, files: int, *, seconds: float, cost: float) -> None:
        self.read: list[tuple[float, str]] = []
        self._cost = cost
        self._now = 0.0
        self._files = [read_file(f"/file {number}") for number in range(files)]
        self._rounds = RehashRounds(seconds=seconds, now=0.0)

    def run(self, seconds: float) -> None:
        """Take files whenever it is time, until this time."""
        while self._now <= seconds:
            files = self._rounds.take(self._files, self._now)
            for file in files:
                self.read.append((self._now, file.path))
                self._rounds.begin()
            for _ in files:
                self._rounds.end(self._cost)
            assert self._rounds.next > self._now
            self._now = self._rounds.next

    def times(self, path: str) -> list[float]:
        return [now for now, read in self.read if read == path]


def longest_gap(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


def test_every_file_is_read_again_within_a_round() -> None:
    for files in (1, 3, 100, 10_000):
        clock = Clock(files, seconds=600.0, cost=0.0)
        clock.run(2000.0)
        for path in ("/file 0", f"/file {files - 1}"):
            assert clock.times(path)
            assert longest_gap([0.0, *clock.times(path)]) <= 601.0


def test_a_round_takes_longer_where_it_would_cost_over_a_hundredth_of_a_core() -> None:
    clock = Clock(100, seconds=10.0, cost=0.05)
    clock.run(3000.0)
    assert len(clock.read) * 0.05 <= 3000.0 * 0.01 + 1.0
    assert longest_gap(clock.times("/file 7")) <= 100 * 0.05 / 0.01 + 20.0


def test_no_file_is_read_while_another_one_still_is() -> None:
    rounds = RehashRounds(seconds=1.0, now=0.0)
    file = read_file("/file")
    assert rounds.take([file], 1.0) == [file]
    rounds.begin()
    assert [rounds.take([file], float(now)) for now in range(2, 20)] == [[]] * 18
    rounds.end(0.0)
    assert rounds.take([file], 20.0) == [file]
