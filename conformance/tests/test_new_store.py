"""`kharvest new-store` makes a package that is right in all but the first method, and that method is three lines."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pluggy
import pytest
from harness.made_stores import (
    COMMIT_NOT_WRITTEN,
    CONFORMANCE,
    NOT_WRITTEN,
    ROOT,
    installed,
    kharvest,
    made,
    run,
    write_commit,
    write_put,
)

from kharvest_conformance.scaffold import new_store

BIN = Path(sys.executable).parent
NAMES = ["x", "my-db", "a" * 30]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return made(tmp_path, "my-db")


def suite(package: Path, *options: str) -> tuple[int, str]:
    """Run the package's own tests; exit code and output."""
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    report = package / "report.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--kharvest-json={report}", *options]
    done = run(*command, cwd=package, PYTHONPATH=path)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--engine",)], ids=["native", "engine"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_passes_lint(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    package = made(tmp_path, name, *options)
    for command in (["format", "--check", "."], ["check", "."]):
        done = run(BIN / "ruff", *command, "--no-cache", cwd=package)
        assert done.returncode == 0, done.stdout
    for file in package.rglob("*"):
        assert not re.search(r"@[A-Z]+@", str(file) + (file.read_text() if file.is_file() else ""))


@pytest.mark.slow
@pytest.mark.timeout(1200)  # some two hundred tests fail, and the program of each is made shorter by trying
def test_every_failure_of_a_new_store_is_that_put_is_not_written(package: Path) -> None:
    code, output = suite(package, "--kharvest-examples=2", "-q", "--tb=no")
    assert code == 1, output
    (store,) = json.loads((package / "report.json").read_text())["stores"]
    assert store["verdict"] == "fails"
    assert store["problems"] == []
    assert len(store["failed"]) > 100
    others = [one["test"] for one in store["failed"] if NOT_WRITTEN not in one["detail"] + one.get("snippet", "")]
    assert others == []
    assert len(store["passed"]) > 10


@pytest.mark.slow
def test_the_first_failure_says_what_to_write_and_where(package: Path) -> None:
    code, output = suite(package, "--exitfirst", "-q", "--tb=short")  # as `make next` does
    assert code == 1
    assert f"NotImplementedError: {NOT_WRITTEN}: the comment in it says how" in output
    assert "kharvest_my_db/store.py" in output
    assert "1 error" in output or "1 failed" in output


@pytest.mark.slow
def test_the_first_failure_on_an_engine_is_that_commit_is_not_written(tmp_path: Path) -> None:
    code, output = suite(made(tmp_path, "my-db", "--engine"), "--exitfirst", "-q", "--tb=short")
    assert code == 1
    assert f"NotImplementedError: {COMMIT_NOT_WRITTEN}: the comment in it says how" in output
    assert "kharvest_my_db/engine.py" in output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_new_store_on_an_engine_conforms_once_commit_is_written_as_its_comment_says(tmp_path: Path) -> None:
    package = made(tmp_path, "my-db", "--engine")
    done = run(BIN / "mypy", "--cache-dir=/dev/null", cwd=package)
    assert done.returncode == 0, done.stdout
    write_commit(package)
    code, output = suite(package, "-q", "--kharvest-examples=3")
    assert code == 0, output
    assert "CONFORMS" in output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_new_store_conforms_once_put_is_written_as_its_comment_says(package: Path, tmp_path: Path) -> None:
    write_put(package)
    code, output = suite(package, "-q", "--kharvest-examples=3")
    assert code == 0, output
    assert "CONFORMS" in output
    variables = installed(package, tmp_path)
    listed = kharvest("stores", "--json", cwd=tmp_path, **variables)
    assert '"my-db"' in listed.stdout
    done = kharvest("conformance", "my-db:", "--examples", "2", cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my-db: (kharvest-my-db 0.1.0); capabilities: none" in done.stdout
    refused = kharvest("conformance", "my-db://user:hunter2@host", cwd=tmp_path, **variables)
    assert refused.returncode == 2
    assert "write my-db:" in refused.stderr
    assert "hunter2" not in refused.stderr
    again = kharvest("new-store", "my-db", "--directory", "other", cwd=tmp_path, **variables)
    assert again.returncode == 2
    assert "kharvest-my-db serves that scheme; choose another" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "give lower-case letters"),
        ("My", "give lower-case letters"),
        ("2db", "a letter first"),
        ("my_db", "give lower-case letters"),
        ("my--db", "with hyphens between"),
        ("my-", "with hyphens between"),
        ("my.db", "give lower-case letters"),
        ("../my", "give lower-case letters"),
        ("my:", "give lower-case letters"),
        ("a" * 31, "at most 30"),
        ("kharvest-my", "write my"),
        ("sqlite", "kharvest has it itself"),
        ("sql", "kharvest has it itself"),
        ("conformance", "kharvest has it itself"),
        ("env", "kharvest has it itself"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_what_to_do(tmp_path: Path, name: str, said: str) -> None:
    done = kharvest("new-store", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kharvest-mine").mkdir()
    new_store("mine", tmp_path / "kharvest-mine")  # an empty directory is as good as none
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = kharvest("new-store", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "kharvest-mine: it is there already; name another one with --directory" in done.stderr
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    file = tmp_path / "file"
    file.write_text("x")
    assert kharvest("new-store", "mine", "--directory", file, cwd=tmp_path).returncode == 2
    below = kharvest("new-store", "mine", "--directory", file / "below", cwd=tmp_path)
    assert below.returncode == 1
    assert "file/below cannot be written" in below.stderr


@pytest.mark.slow
def test_the_wheel_has_every_file_that_a_package_is_made_of(tmp_path: Path) -> None:
    site, here, there = tmp_path / "site", tmp_path / "here", tmp_path / "there"
    for folder in (site, here, there):
        folder.mkdir()
    variables = installed(CONFORMANCE, site)
    program = f"import kharvest_conformance as c; assert c.__file__.startswith({str(site)!r}), c.__file__; "
    program += "import sys; from kharvest.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = run(sys.executable, "-c", program, "new-store", "my-db", cwd=there, **variables)
    assert done.returncode == 0, done.stderr
    made(here, "my-db")
    trees = [
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (here, there)
    ]
    assert trees[0] == trees[1]
    assert len(trees[0]) == 12


def test_the_missing_suite_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    # -S leaves out what is installed in the environment: the suite is really not there.
    program = "import argparse; from kharvest.cli import new_store as command; parser = argparse.ArgumentParser(); "
    program += "command.configure(parser); raise SystemExit(command.run(parser.parse_args(['mine'])))"
    (tmp_path / "pluggy").symlink_to(Path(pluggy.__file__).parent)  # the core depends on it
    done = run(sys.executable, "-S", "-c", program, cwd=tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert done.returncode == 2
    assert "pip install kharvest-conformance" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_verbs_of_a_new_package_work(package: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    for project in (ROOT, CONFORMANCE):
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = run(*pip, "--wheel-dir", wheels, project, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    variables = {"PIP_FIND_LINKS": str(wheels), "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PYTHONPATH": ""}
    variables["PYTHON"] = sys.executable

    def make(verb: str) -> tuple[int, str]:
        done = run("make", "--no-print-directory", verb, cwd=package, **variables)
        return done.returncode, done.stdout + done.stderr

    code, output = make("help")
    assert re.findall(r"^\w+", output, re.MULTILINE) == [
        "help",
        "setup",
        "next",
        "test",
        "check",
        "format",
        "lint",
        "types",
    ]
    for verb in ("setup", "lint", "types"):
        code, output = make(verb)
        assert code == 0, output
    code, output = make("next")
    assert code != 0
    assert NOT_WRITTEN in output
    write_put(package)
    code, output = make("check")
    assert code == 0, output
    assert "CONFORMS" in output
