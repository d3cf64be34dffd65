"""Rounds of tasks: those of one round at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kharvest_conformance._place import Place
from kharvest_conformance._processes import Worker
from kharvest_conformance._tasks import Task


def rounds_of(place: Place, rounds: Sequence[Sequence[Task]]) -> list[list[object]]:
    """The answers of rounds of tasks; each task of a round is done by a process of its own."""
    return list(round_by_round(place, rounds))


def round_by_round(place: Place, rounds: Sequence[Sequence[Task]]) -> Iterator[list[object]]:
    """The answers of each round, before the next begins."""
    workers: list[Worker] = [place.worker() for _task in rounds[0]]
    for worker in workers:
        worker.ready()
    for tasks in rounds:
        for worker, task in zip(workers, tasks, strict=True):
            worker.start(task)
        yield [worker.report() for worker in workers]
