"""The glossary is in step with the names in the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

GLOSSARY = Path(__file__).parents[2] / "docs/reference/glossary.md"
NAMES = sorted(set(re.findall(r"`(kharvest\.[\w.]+\.\w+)`", GLOSSARY.read_text())))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_glossary_names_is_there(name: str) -> None:
    module, _dot, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_a_word_is_explained_once() -> None:
    words = re.findall(r"^\| ([a-z][^|]*?) \|", GLOSSARY.read_text(), re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert len(words) == len(set(words))
    assert len(words) > 30
