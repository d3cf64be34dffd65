"""The documentation is built into a site without a broken link, and its reference has every public name."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / ".site"
API = sorted((ROOT / "docs/reference/api").glob("*.md"))


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built as `make docs` does."""
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return SITE


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "zensical.toml").read_text()
    shown = set(re.findall(r"= \"([\w/-]+\.md)\"", navigation))
    assert shown == {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}


@pytest.mark.slow
@pytest.mark.parametrize("page", API, ids=[page.stem for page in API])
def test_the_reference_has_every_public_name(page: Path, site: Path) -> None:
    match = re.search(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    assert match, f"{page.name} names no module"
    module = match[1]
    text = (site / page.relative_to(ROOT / "docs").with_suffix("") / "index.html").read_text()
    public = [name for name in importlib.import_module(module).__all__ if name != "__version__"]
    assert not [name for name in public if f'id="{module}.{name}"' not in text]
