"""What is due is told once, at its time and not before, however often that was changed."""

from __future__ import annotations

import asyncio

from kharvest.server._deadlines import Deadlines


def test_keys_are_due_in_the_order_of_their_times_and_each_once() -> None:
    async def play() -> list[tuple[str, bool]]:
        loop = asyncio.get_running_loop()
        now = loop.time()
        times = {"late": now + 0.06, "early": now + 0.02, "between": now + 0.04}
        told: list[tuple[str, bool]] = []
        all_told = asyncio.Event()

        def act(keys: list[str]) -> None:
            told.extend((key, loop.time() >= times[key]) for key in keys)
            if len(told) >= len(times):
                all_told.set()

        deadlines = Deadlines[str](act)
        for key, at in times.items():
            deadlines.set(key, at)
        async with asyncio.timeout(20):
            await all_told.wait()
        assert len(deadlines) == 0
        return told

    assert asyncio.run(play()) == [("early", True), ("between", True), ("late", True)]


def test_the_last_time_that_was_set_counts_and_a_dropped_key_is_never_due() -> None:
    async def play() -> list[str]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        end = asyncio.Event()

        def act(keys: list[str]) -> None:
            told.extend(keys)
            if "end" in keys:
                end.set()

        deadlines = Deadlines[str](act)
        now = loop.time()
        deadlines.set("postponed", now)
        deadlines.set("postponed", now + 600)
        deadlines.set("dropped", now)
        deadlines.drop("dropped")
        deadlines.drop("never set")
        deadlines.set("end", now + 600)
        deadlines.set("end", now + 0.02)
        async with asyncio.timeout(20):
            await end.wait()
        assert len(deadlines) == 1
        return told

    assert asyncio.run(play()) == ["end"]


def test_a_key_that_is_due_before_all_others_does_not_wait_for_them() -> None:
    async def play() -> list[str]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[list[str]] = loop.create_future()
        deadlines = Deadlines[str](told.set_result)
        deadlines.set("in ten minutes", loop.time() + 600)
        deadlines.set("now", loop.time())
        async with asyncio.timeout(20):
            return await told

    assert asyncio.run(play()) == ["now"]


def test_what_is_set_again_and_again_takes_no_more_room() -> None:
    async def play() -> int:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines[int](lambda _keys: None)
        for turn in range(10_000):
            deadlines.set(turn % 10, loop.time() + 600 + turn)
        entries = len(deadlines._heap)
        for key in range(10):
            deadlines.drop(key)
        assert deadlines._timer is None
        return entries

    assert asyncio.run(play()) < 200
