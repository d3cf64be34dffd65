"""Every command and every Python sample in the docs runs, and prints what the docs show.

A page is a session in an empty folder (see `sessions`). A page whose samples need a server that they do not start
themselves finds one running.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from docs.sessions import blocks, pattern, session, steps
from harness import Pod, ServerProcess

ROOT = Path(__file__).parents[2]
DEFAULT_ADDRESS = "127.0.0.1:50051"
OTHER_ADDRESSES = ("127.0.0.1:9464", "127.0.0.1:9465")
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
TUTORIAL = ROOT / "docs/tutorial.md"
VARIES = re.compile(r"/[\w/-]+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+")
"""What `…` may stand for in the tutorial: a directory, or a time."""


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
WITH_SAMPLES = [page for page in PAGES if page not in ELSEWHERE and steps(page.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SAMPLES, ids=[str(page.relative_to(ROOT)) for page in WITH_SAMPLES])
def test_the_samples_of_a_page_run_and_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    address = free_address()
    text = page.read_text().replace(DEFAULT_ADDRESS, address)
    for other in OTHER_ADDRESSES:
        text = text.replace(other, free_address())
    todo = steps(text)
    folder = tmp_path / "here"
    folder.mkdir()
    starts_server = any("kharvest server" in step.command for step in todo)
    with (
        nullcontext() if starts_server else served(address),
        session(folder, {"KHARVEST_SERVER": address, "KHARVEST_LISTEN": address}) as running,
    ):
        printed = []
        for step, after in zip(todo, [*todo[1:], None], strict=True):
            is_code_shown = after is not None and after.command == "echo $?"
            printed.append((step, running.run(step, may_fail=is_code_shown)))
        for job, log in running.jobs:
            if job.shown or page == TUTORIAL:
                assert pattern(job.shown).fullmatch(log.read_text()), f"{job.command} goes on:\n{log.read_text()}"
    if page == TUTORIAL:
        for step, output in printed:
            assert step.shown or not output, f"the tutorial does not show what {step.command} prints:\n{output}"
            found = pattern(step.shown).fullmatch(output)
            assert found, output
            assert [group for group in found.groups() if not VARIES.fullmatch(group)] == []


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
    language, block = blocks((ROOT / "README.md").read_text())[0]
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
