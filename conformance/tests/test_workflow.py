"""The workflow for authors is one that GitHub would take, and its steps do what they say, run here one by one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import junitparser
import pytest
import yaml
from harness.made_stores import PATIENCE_SECONDS, ROOT, made, run, write_put

EXAMPLE = ROOT / "examples/conformance-workflow"
WORKFLOW = EXAMPLE / "conformance.yml"
BIN = Path(sys.executable).parent
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
LOADER = yaml.BaseLoader  # by YAML 1.1, which is PyYAML's, the key `on` is a truth


def load(text: str) -> dict[str, Any]:
    found = yaml.load(text, LOADER)
    assert isinstance(found, dict)
    return found


JOBS: dict[str, Any] = load(WORKFLOW.read_text())["jobs"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return made(tmp_path, "my-db")


def caller_in_the_readme() -> str:
    (block,) = re.findall(r"```yaml\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    assert isinstance(block, str)
    return block


def test_the_workflows_are_ones_by_the_schema(package: Path, tmp_path: Path) -> None:
    caller = tmp_path / "caller.yml"
    caller.write_text(caller_in_the_readme())
    files = [WORKFLOW, caller, *(package / ".github/workflows").iterdir()]
    assert len(files) == 4
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_new_package_has_the_workflow_of_the_example(package: Path) -> None:
    assert (package / ".github/workflows/conformance.yml").read_text() == WORKFLOW.read_text()


@pytest.mark.parametrize("caller", ["README", "new package"])
def test_callers_give_what_the_workflow_takes(package: Path, caller: str) -> None:
    text = caller_in_the_readme() if caller == "README" else (package / ".github/workflows/ci.yml").read_text()
    job = load(text)["jobs"]["conformance"]
    assert job["uses"] == "./.github/workflows/conformance.yml"
    assert job["with"].keys() <= load(WORKFLOW.read_text())["on"]["workflow_call"]["inputs"].keys()


def test_the_readme_names_every_input() -> None:
    text = (EXAMPLE / "README.md").read_text()
    for name in load(WORKFLOW.read_text())["on"]["workflow_call"]["inputs"]:
        assert f"`{name}`" in text


def test_every_input_that_is_asked_for_is_declared_and_every_job_needed_is_there() -> None:
    text = WORKFLOW.read_text()
    call = load(text)["on"]["workflow_call"]
    assert set(re.findall(r"\binputs\.([\w-]+)", text)) == call["inputs"].keys()
    assert set(re.findall(r"\bsecrets\.([\w-]+)", text)) == call["secrets"].keys()
    for job in JOBS.values():
        assert job.get("needs") in {None, *JOBS}
        assert int(job["timeout-minutes"]) <= 60


def test_no_step_puts_what_a_caller_gives_into_its_script() -> None:
    steps = [step for job in JOBS.values() for step in job["steps"]]
    assert not [step["name"] for step in steps if EXPRESSION.search(step.get("run", ""))]
    assert all(step["shell"] == "bash" for step in steps if "run" in step)


class Runner:
    """Does the steps of a job as GitHub's runner does: with the values of a few expressions, and fails on any other."""

    def __init__(self, folder: Path, values: Mapping[str, str], path: str = "") -> None:
        self.output, self.summary = folder / "output", folder / "summary"
        for file in (self.output, self.summary):
            file.touch()
        self._values = values
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join(filter(None, (path, str(BIN), os.environ["PATH"]))),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def step(self, job: str, name: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one step's script."""
        (step,) = [one for one in JOBS[job]["steps"] if one.get("name") == name]
        given = {key: self._filled(value) for key, value in step.get("env", {}).items()}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=cwd / self._filled(step.get("working-directory", ".")),
            env={**self._environment, **given, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def _filled(self, text: str) -> str:
        return EXPRESSION.sub(lambda match: self._values[match[1]], text)


INPUTS = {
    "inputs.package": ".",
    "inputs.extras": "",
    "inputs.services": "",
    "inputs.examples": "2",
    "inputs.deviations": "",
    "inputs.badge-branch": "badges",
    "secrets.store-url || inputs.store": "my-db:",
}


@pytest.mark.parametrize(
    ("classifiers", "found"),
    [
        (None, ["3.11", "3.12", "3.13"]),
        (["Programming Language :: Python :: 3", "Programming Language :: Python :: 3 :: Only"], ["3.x"]),
        (["Programming Language :: Python :: 3.14"], ["3.14"]),
    ],
)
def test_the_versions_of_python_are_the_package_s(
    package: Path, tmp_path: Path, classifiers: list[str] | None, found: list[str]
) -> None:
    if classifiers is not None:
        (package / "pyproject.toml").write_text(f"[project]\nclassifiers = {classifiers!r}\n")
    runner = Runner(tmp_path, INPUTS)
    done = runner.step("versions", "Read the versions of Python from the package's classifiers", package)
    assert done.returncode == 0, done.stderr
    name, _equals, value = runner.output.read_text().partition("=")
    assert (name, json.loads(value)) == ("python", found)


def environment(folder: Path) -> Path:
    """The Python of a new environment that has all of this one: nothing but the package is to be installed."""
    done = run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder / "bin/python"


@pytest.mark.parametrize("state", ["written", "not written"])
@pytest.mark.slow
def test_the_steps_of_a_run_do_what_they_say(package: Path, tmp_path: Path, state: str) -> None:
    if state == "written":
        write_put(package)
    temporary, python = tmp_path / "temporary", environment(tmp_path / "environment")
    services = "echo $((6 * 7)) > started\ntest -s started"
    values = {**INPUTS, "inputs.services": services, "runner.temp": str(temporary)}
    runner = Runner(tmp_path, values, str(python.parent))
    done = runner.step("conformance", "Install the store and the suite", package)
    assert done.returncode == 0, done.stderr
    done = runner.step("conformance", "Start the services", package)
    assert done.returncode == 0, done.stderr
    assert (package / "started").read_text() == "42\n"

    (site,) = (python.parents[1] / "lib").glob("python3.*/site-packages")
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    done = runner.step("conformance", "Run the suite", package, PYTHONPATH=path)
    assert done.returncode == (0 if state == "written" else 1), done.stderr
    shown = runner.step("conformance", "Show the result", package, PYTHONPATH=path)
    assert shown.returncode == 0, shown.stderr
    results = temporary / "conformance"
    (store,) = json.loads((results / "report.json").read_text())["stores"]
    verdict = "conforms" if state == "written" else "fails"
    assert store["verdict"] == verdict
    assert json.loads((results / "badge.json").read_text())["message"].startswith(verdict)
    (tests,) = junitparser.JUnitXml.fromfile(str(results / "junit.xml"))
    assert (tests.name, bool(tests.failures)) == ("my-db:", state != "written")
    assert verdict in runner.summary.read_text()


def test_a_run_that_never_came_to_a_report_shows_none(package: Path, tmp_path: Path) -> None:
    runner = Runner(tmp_path, {**INPUTS, "runner.temp": str(tmp_path)})
    assert runner.step("conformance", "Show the result", package).returncode == 0
    assert runner.summary.read_text() == ""


def badge(message: str, *, is_error: bool) -> str:
    return json.dumps({"schemaVersion": 1, "label": "x", "message": message, "color": "x", "isError": is_error})


GOOD, BAD = badge("conforms", is_error=False), badge("fails: 1 of 2", is_error=True)


@pytest.mark.parametrize(
    ("badges", "message"),
    [
        ({"3.11": GOOD, "3.12": GOOD}, "conforms"),
        ({"3.11": GOOD, "3.12": BAD}, "fails: 1 of 2"),
        ({"3.11": GOOD, "3.12": ""}, "did not run"),
        ({}, "did not run"),
    ],
)
def test_the_worst_badge_is_published(tmp_path: Path, badges: dict[str, str], message: str) -> None:
    def git(*arguments: str | Path) -> str:
        done = run("git", *arguments, cwd=tmp_path, GIT_CONFIG_GLOBAL="/dev/null")
        assert done.returncode == 0, done.stderr
        return done.stdout

    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    git("init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git("clone", "--quiet", "origin.git", "seed")
    (tmp_path / "seed/README.md").write_text("x")
    git("-C", "seed", "add", ".")
    git("-C", "seed", *identity, "commit", "--quiet", "--message", "x")
    git("-C", "seed", "push", "--quiet", "origin", "HEAD:main")
    folder = tmp_path / "temporary/badges"
    folder.mkdir(parents=True)
    for version, text in badges.items():
        (folder / f"conformance-{version}").mkdir()
        (folder / f"conformance-{version}/badge.json").write_text(text)
    runner = Runner(tmp_path, {**INPUTS, "runner.temp": str(tmp_path / "temporary")})
    for turn in range(2):  # the second time the branch is there, and nothing has changed
        git("clone", "--quiet", "origin.git", f"checkout{turn}")
        done = runner.step("badge", "Publish the worst badge of all versions of Python", tmp_path / f"checkout{turn}")
        assert done.returncode == 0, done.stderr
        assert json.loads(git("-C", "origin.git", "show", "badges:badge.json"))["message"] == message
        assert git("-C", "origin.git", "ls-tree", "--name-only", "badges") == "badge.json\n"
        assert git("-C", "origin.git", "rev-list", "--count", "badges") == "1\n"
