"""What the server remembers is bounded in bytes."""

from __future__ import annotations

from kharvest.server._recent import Recent


def test_what_is_remembered_never_takes_more_than_its_bytes() -> None:
    recent = Recent[str, int](1000)
    for number in range(100):
        recent.remember(str(number), number, 100 if number % 2 else 300)
    assert recent.get("99") == 99
    assert recent.get("0") is None
    assert len(recent) <= 10


def test_what_is_larger_than_all_is_not_remembered() -> None:
    recent = Recent[str, int](1000)
    recent.remember("small", 1, 10)
    recent.remember("large", 2, 1001)
    assert recent.get("large") is None


def test_what_is_told_again_takes_its_bytes_once() -> None:
    recent = Recent[str, int](1000)
    for value in range(100):
        recent.remember("one", value, 600)
    recent.remember("other", 1, 400)
    assert (recent.get("one"), recent.get("other")) == (99, 1)
    recent.forget("one")
    assert "one" not in recent
