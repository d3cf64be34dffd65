"""What CONTRIBUTING.md says of the tree is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_path_in_it_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(
        re.findall(r"`((?:kharvest|proto|backends|conformance|tests|docs|deploy|benchmarks|examples)/[\w./-]*)`", text)
    )
    assert len(named) > 30
    assert not [name for name in named if not (ROOT / name).exists()]
