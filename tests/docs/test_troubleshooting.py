"""What the pages on trouble quote is what the programs print.

A block of messages has a comment above it: `scene: NAME` where a scene of `troubles` makes real programs print them,
or `said in: FILE …` where that takes too long. Then the fixed words of each message are in the texts of these files.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from docs.sessions import pattern
from docs.troubles import SCENES

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/how-to/troubleshoot-*.md"))
_QUOTES = re.compile(r"^(?:<!-- (scene|said in): ([^\n]*) -->\n)?```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


def quotes(kind: str) -> list[tuple[str, str]]:
    """Messages in blocks of one kind: what its comment names, and the message."""
    blocks = [match.groups("") for page in PAGES for match in _QUOTES.finditer(page.read_text())]
    return [(named, line) for kind_, named, block in blocks if kind_ == kind for line in block.splitlines()]


QUOTED = {name: [line for named, line in quotes("scene") if named == name] for name, _line in quotes("scene")}


@pytest.mark.slow
@pytest.mark.parametrize("scene", sorted(QUOTED))
def test_what_is_quoted_is_printed_when_that_happens(scene: str, tmp_path: Path) -> None:
    printed = SCENES[scene](tmp_path)
    missing = [line for line in QUOTED[scene] if not re.search(pattern([line]).pattern, f"{printed}\n")]
    assert not missing, printed


@pytest.mark.parametrize(("files", "message"), quotes("said in"))
def test_what_is_quoted_without_a_scene_is_in_the_program(files: str, message: str) -> None:
    said = "\n".join(text for file in files.split() for text in texts(ROOT / file))
    assert [part for part in re.split("…|[0-9]+|; |: ", message) if part.strip("' ") not in said] == []


@cache
def texts(file: Path) -> tuple[str, ...]:
    """The texts in a module, without what is filled into them."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_each_message_is_held_by_a_scene_or_by_the_sources() -> None:
    assert not quotes(""), "these blocks have no comment that says who prints them"
    assert set(QUOTED) == set(SCENES)
