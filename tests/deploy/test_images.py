"""The image definitions, carried out here: a container engine has never built them.

Their steps run on this machine's Python and in folders of the test's own, in place of an image's. What that leaves
unproven: the base image, and the files that it brings.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.manifests import DEPLOY, OVERLAYS, ROOT, ours, render

CONTAINERFILE = DEPLOY / "Containerfile"
# Folders of the images. What is written there is written below the test's folder.
FOLDERS = re.compile(r"(?<![\w./])/(wheels|source|opt/kharvest)\b")


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, and the stage that it is part of."""

    stage: str
    base: str
    verb: str
    rest: str


def steps() -> Iterator[Step]:
    """The instructions of the Containerfile."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stage = base = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        verb, rest = line.split(maxsplit=1)
        if verb == "FROM":
            base, _, stage = rest.partition(" AS ")
        yield Step(stage, base, verb, rest)


def stages(target: str) -> list[str]:
    """The stages that a target is made from, the earliest first."""
    wanted: list[str] = []

    def add(stage: str) -> None:
        for step in steps():
            if step.stage == stage:
                copied = re.match(r"--from=(\S+)", step.rest)
                for needed in (step.base, copied[1] if copied else ""):
                    if needed not in ("", stage, "${PYTHON}") and needed not in wanted:
                        add(needed)
        wanted.append(stage)

    add(target)
    return wanted


def told(target: str, verb: str) -> list[str]:
    """What the target's own stage says with an instruction."""
    return [step.rest for step in steps() if step.stage == target and step.verb == verb]


def test_what_is_copied_is_here() -> None:
    for step in steps():
        if step.verb == "COPY" and not step.rest.startswith("--from"):
            *sources, _ = step.rest.split()
            for source in sources:
                assert (ROOT / source).exists(), step.rest


def test_every_backend_and_nothing_else_of_ours_is_in_the_server_s_image() -> None:
    text = CONTAINERFILE.read_text()
    for extra in ("postgresql", "mysql"):
        assert re.search(rf"kharvest_sql-\*\.whl\)\[.*\b{extra}\b.*\]", text)
        assert f"\n{extra} = [" in (ROOT / "backends/kharvest-sql/pyproject.toml").read_text()


@pytest.mark.parametrize("target", ["server", "client"])
def test_an_image_runs_as_a_user_of_no_name_by_number(target: str) -> None:
    assert told(target, "USER") == ["65532:65532"]


@pytest.mark.slow
def test_the_manifests_images_are_the_targets() -> None:
    used = {container["image"] for overlay in OVERLAYS for _, container in ours(render(overlay))}
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert used == {f"kharvest-server:{version[1]}", f"kharvest-client:{version[1]}"}
    for image in used:
        assert f"--tag {image} " in CONTAINERFILE.read_text()


def carry_out(target: str, root: Path) -> list[str]:
    """Carry out a target's steps below a folder; what the image's entry point is there."""

    def at_home(text: str) -> str:
        return FOLDERS.sub(lambda match: f"{root}/{match[1]}", text)

    source = root / "source"
    source.mkdir()
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for stage in stages(target):
        for step in (step for step in steps() if step.stage == stage):
            if step.verb == "COPY" and not step.rest.startswith("--from"):
                *copied, to = step.rest.split()
                for name in copied:
                    copy(ROOT / name, source / to / Path(name).name if to.endswith("/") else source / to)
            elif step.verb == "RUN":
                done = subprocess.run(
                    ["sh", "-ec", at_home(step.rest)],
                    cwd=source,
                    env={**os.environ, "PATH": tools},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=240,
                )
                assert done.returncode == 0, f"{step.rest}\n{done.stdout}{done.stderr}"
    (entry,) = told(target, "ENTRYPOINT")
    return [at_home(word) for word in json.loads(entry)]


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def output(command: Sequence[str], **variables: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**variables, "PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_server_s_steps_make_a_server_with_its_stores_and_their_drivers(tmp_path: Path) -> None:
    kharvest = carry_out("server", tmp_path)
    schemes = {
        scheme for one in json.loads(output([*kharvest, "stores", "--json", "--check"])) for scheme in one["schemes"]
    }
    assert {"memory", "sqlite", "postgresql", "mysql", "mariadb"} <= schemes
    python = str(Path(kharvest[0]).parent / "python")
    output([python, "-c", "import psycopg, pymysql, psycopg_binary"])
    assert "--metrics" in output([*kharvest, "server", "--help"])


@pytest.mark.slow
def test_the_client_s_steps_make_a_client_that_reads_yaml(tmp_path: Path) -> None:
    kharvest = carry_out("client", tmp_path)
    file = tmp_path / "client.yaml"
    file.write_text("files: [/etc/hosts]\nserver: kharvest-server.kharvest.svc:50051\n")
    said = output([*kharvest, "client", "--check-config", "--config", str(file)], POD_NAME="web-1")
    assert "/etc/hosts" in said
    assert json.loads(output([*kharvest, "stores", "--json"])) == []
