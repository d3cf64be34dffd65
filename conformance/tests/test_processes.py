"""Worker processes: forked from one that has loaded what they need, and dead when they were killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kharvest_conformance._place import Place
from kharvest_conformance._processes import Processes, Worker
from kharvest_conformance._tasks import Now
from kharvest_zoo.harness import ZooHarness

HAS_A_THREAD = """
import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def place(tmp_path: Path, processes: Processes) -> Iterator[Place]:
    with Place(ZooHarness("PlainStore", str(tmp_path)), processes) as place:
        yield place


def working(place: Place) -> int:
    """The number of a new worker process, which has a store open and does what it is asked."""
    worker = place.worker()
    worker.ready()
    worker.start(Now())
    assert isinstance(worker.report(), int)
    return number_of(worker)


def number_of(worker: Worker) -> int:
    return worker._process._pid


def state_of(number: int) -> list[str]:
    """What the system says of a process: its state first, then its parent."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()


def test_all_workers_are_forked_from_one_process(place: Place) -> None:
    parents = {state_of(working(place))[1] for _worker in range(3)}
    assert len(parents) == 1


def test_a_worker_that_was_killed_is_dead_and_another_takes_its_place(place: Place) -> None:
    worker = place.worker()
    worker.ready()
    worker.kill()
    worker.kill()
    assert state_of(number_of(worker))[0] == "Z"
    assert working(place) != number_of(worker)


def test_a_worker_whose_store_is_closed_opens_the_next(tmp_path: Path, processes: Processes) -> None:
    numbers = []
    for _place in range(2):
        with Place(ZooHarness("PlainStore", str(tmp_path)), processes) as place:
            numbers.append(working(place))
    assert numbers[0] == numbers[1]


def test_no_process_is_forked_that_has_a_thread_of_a_module(
    place: Place, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "has_a_thread.py").write_text(HAS_A_THREAD)
    monkeypatch.syspath_prepend(tmp_path)
    first = working(place)
    processes._is_prepared = False
    processes.note(("has_a_thread",))
    second = working(place)
    assert "import main" in Path(f"/proc/{first}/cmdline").read_text()
    assert "import work" in Path(f"/proc/{second}/cmdline").read_text()


def test_at_the_end_no_process_is_left(tmp_path: Path) -> None:
    processes = Processes()
    with Place(ZooHarness("PlainStore", str(tmp_path)), processes) as place:
        number = working(place)
        parent = state_of(number)[1]
    processes.end()
    for one in (number, parent):
        assert not Path(f"/proc/{one}").exists()
