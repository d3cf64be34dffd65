"""How long the suite waits for threads: as long as their calls return."""

from __future__ import annotations

import threading

import pytest

from kharvest_conformance._patience import Patience

SECONDS = 0.2


def test_a_thread_of_many_calls_may_take_longer_than_one_call() -> None:
    patience = Patience(SECONDS)
    pause = threading.Event()

    def work() -> None:
        for _call in range(6):
            pause.wait(SECONDS / 2)
            patience.returned[threading.get_ident()] += 1

    thread = threading.Thread(target=work)
    thread.start()
    patience.wait_for(thread)
    assert not thread.is_alive()


def test_a_thread_whose_call_does_not_return_is_an_error() -> None:
    patience = Patience(SECONDS)
    end = threading.Event()

    def work() -> None:
        patience.returned[threading.get_ident()] += 1
        end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with pytest.raises(AssertionError, match="does not return within"):
            patience.wait_for(thread)
    finally:
        end.set()
        thread.join()
