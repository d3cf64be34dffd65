"""Every command and every Python sample in the docs runs, and prints what the docs show.

A page is a session: its `console` blocks run in one shell in an empty folder, in their order, and its `python` blocks
run in the same folder. What the page says of the default address happens at a free one. A page whose samples need a
server that they do not start themselves finds one running. Lines without a `$` are output: they come in this order,
with anything where the page has `…`, and columns of any width.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from harness import Pod, ServerProcess

ROOT = Path(__file__).parents[2]
DEFAULT_ADDRESS = "127.0.0.1:50051"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a sample needs that is here already: installing kharvest, and the verbs of a clone.
LEFT_OUT = ("pip install", "make ")


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in BLOCK.finditer(page.read_text())]


def commands(block: str) -> list[str]:
    """What a reader would type of a console block."""
    lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if not line.startswith(LEFT_OUT)]


def shown(page: Path) -> list[str]:
    """The lines of output that a page shows, as patterns."""
    sessions = [block for language, block in blocks(page) if language == "console" and block.startswith("$ ")]
    return [pattern(line) for block in sessions for line in block.splitlines() if line and not line.startswith("$ ")]


def pattern(line: str) -> str:
    words = (".*".join(map(re.escape, word.split("…"))) for word in line.split())
    return rf"^{r'[ ]+'.join(words)} *$"


def session(page: Path) -> str:
    """A page's samples as one script."""
    script = ["set -euo pipefail"]
    for language, block in blocks(page):
        if language == "console":
            script += commands(block)
        elif language == "python":
            script += ["python - <<'SAMPLE'", block.rstrip(), "SAMPLE"]
    return "\n".join(script)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def served(address: str) -> Iterator[None]:
    """A server that knows of one pod."""
    with ServerProcess("memory:", listen=address) as server, Pod(server.address, "web-1") as pod:
        pod.harvest_files({"/etc/hosts": Path("/etc/hosts").read_bytes()})
        yield


# Its samples are excerpts of the example store; conformance/tests holds them to it, and runs its commands.
ELSEWHERE = {ROOT / "docs/writing-a-store.md"}
WITH_SAMPLES = [page for page in PAGES if page not in ELSEWHERE and session(page).count("\n")]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SAMPLES, ids=[str(page.relative_to(ROOT)) for page in WITH_SAMPLES])
def test_the_samples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    address = free_address()
    script = session(page).replace(DEFAULT_ADDRESS, address).replace("127.0.0.1:9464", free_address())
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KHARVEST_SERVER": address,
        "KHARVEST_LISTEN": address,
    }
    with nullcontext() if "kharvest server" in script else served(address):
        # A shell of its own session: what it leaves running is stopped with it.
        shell = subprocess.Popen(
            ["bash", "-m", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = shell.communicate(timeout=120)
    assert shell.returncode == 0, f"{script}\n---\n{output}"
    position = 0
    for line in shown(page):
        found = re.compile(line.replace(re.escape(DEFAULT_ADDRESS), re.escape(address)), re.MULTILINE).search(
            output, position
        )
        assert found, f"{line} is not in the output from here:\n{output[position:]}"
        position = found.end()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        if not target.startswith("http"):
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name} links to {target}"
            assert not heading or heading in headings(file), f"{page.name} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The names by which links find a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_opens_with_the_two_commands() -> None:
    language, block = blocks(ROOT / "README.md")[0]
    assert language == "console"
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


@pytest.mark.slow
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "examples/demo/demo.py", tmp_path / "demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "killed with SIGKILL" in run.stdout
    assert "web-3 differs from" in run.stdout
    assert "+# a quick fix, to be cleaned up tomorrow" in run.stdout
    assert re.search(r"removed +1 pod: +api-1", run.stdout)
    moved = re.search(r"with kharvest +(\d+) contents", run.stdout)
    without = re.search(r"without kharvest +(\d+) contents", run.stdout)
    assert moved is not None
    assert without is not None
    assert int(moved[1]) == 7
    assert int(without[1]) == 41
