"""Three doors lead to the same tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy
import pytest

import kharvest_conformance
from kharvest_conformance._samples import Sample, removed
from kharvest_conformance._session import FAST_EXAMPLES
from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo.filed import FiledStore

_PLUGIN = """
from kharvest.spi import SPI_VERSION, Backend, StoreUnavailable, hookimpl
from kharvest_zoo.kinds import KINDS

def open_store(url):
    kind, _, path = url.removeprefix("zoo:").partition(",")
    if kind == "away":
        raise StoreUnavailable("gone fishing")
    return KINDS[kind](path)

@hookimpl
def kharvest_backend(scheme):
    return Backend(spi_version=SPI_VERSION, capabilities=frozenset(), open=open_store)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def zoo_backend(tmp_path: Path) -> dict[str, str]:
    """An environment in which a distribution is installed that serves `zoo:KIND,FILE`."""
    site = tmp_path / "site"
    info = site / "zoo_backend-7.dist-info"
    info.mkdir(parents=True)
    (site / "zoo_backend.py").write_text(_PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-backend\nVersion: 7\n")
    (info / "entry_points.txt").write_text("[kharvest.stores]\nzoo = zoo_backend\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))}


@pytest.fixture
def kharvest(tmp_path: Path, zoo_backend: dict[str, str]) -> Run:
    """The command line, in a folder whose pytest is configured to be of no use to us."""
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_files = nothing.py\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not for the suite')\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from kharvest.cli.main import main; main()", "conformance", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**zoo_backend, "PYTEST_ADDOPTS": "-k nothing"},
            timeout=120,
        )

    return run


@pytest.mark.slow
def test_the_command_runs_every_test_and_exits_0_when_the_store_conforms(kharvest: Run) -> None:
    done = kharvest("zoo:PlainStore,", "--json", "--seed", "42", "--examples", "2")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["verdict"], report["seed"], report["examples"], report["spi"]) == ("conforms", 42, 2, [1, 0])
    (store,) = report["stores"]
    assert (store["store"], store["version"]) == ("zoo:PlainStore,", "zoo-backend 7")
    assert store["ran"] == len(store["passed"])
    assert {one["detail"] for one in store["skipped"]} == {
        "the store does not declare SHARED",
        "the store does not declare DURABLE",
    }
    assert store["problems"] == store["deselected"] == []


@pytest.mark.slow
def test_the_command_names_the_broken_clause_and_exits_1(kharvest: Run) -> None:
    done = kharvest("zoo:ExcludesSince,", "--fast", "--examples", "1")
    assert done.returncode == 1
    assert "FAILED test_since_is_inclusive_and_until_exclusive: values.Query" in done.stdout
    assert "store.references(Query(" in done.stderr


@pytest.mark.slow
def test_a_fast_run_of_the_command_exits_3_when_nothing_failed(kharvest: Run) -> None:
    done = kharvest("zoo:PlainStore,", "--fast", "--json")
    assert done.returncode == 3, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["verdict"], report["fast"], report["examples"]) == ("incomplete", True, FAST_EXAMPLES)
    assert report["stores"][0]["deselected"]


@pytest.mark.slow
def test_the_command_holds_no_warning_of_a_library_against_a_store(kharvest: Run) -> None:
    done = kharvest("zoo:Warns,", "--fast", "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["stores"][0]["failed"] == []


@pytest.mark.slow
def test_the_command_takes_deviations(kharvest: Run, tmp_path: Path) -> None:
    file = tmp_path / "deviations.toml"
    file.write_text(
        "[deviations]\n"
        'test_keys_are_exact = "known"\n'
        'test_the_keys_that_are_released_are_exact = "too"\n'
        'test_releasing_other_keys_leaves_the_one_that_is_held = "too"\n'
    )
    done = kharvest("zoo:PadsKeys,", "--deviations", str(file), "--examples", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deviates test_keys_are_exact: known" in done.stdout


@pytest.mark.slow
def test_a_store_that_is_not_empty_is_left_alone(kharvest: Run, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    url = f"zoo:FiledStore,{path}"
    fill = "import sys; from kharvest_zoo.filed import FiledStore; from kharvest_conformance._samples import Sample; "
    fill += "s = FiledStore(sys.argv[1]); s.put(Sample(5).content, Sample(5).chunks()); s.close()"
    subprocess.run([sys.executable, "-c", fill, str(path)], check=True)
    before = path.read_bytes()
    done = kharvest(url, "--examples", "1")
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_store_may_be_emptied_and_is_left_empty(tmp_path: Path, zoo_backend: dict[str, str]) -> None:
    url = f"zoo:FiledStore,{tmp_path / 'store.db'}"
    with contextlib.closing(FiledStore(str(tmp_path / "store.db"))) as store:
        store.put(Sample(5).content, Sample(5).chunks())
        store.record({}, [removed("/gone")])
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "-k", "claim or lease or release or forget"]
    for extra in (["--kharvest-destroy-data"], []):  # the second time, it is empty, and no lease is left
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", *options, "--pyargs", "kharvest_conformance"),
                *("--kharvest-store", url, "--kharvest-examples=2", *extra),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=zoo_backend,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with contextlib.closing(FiledStore(str(tmp_path / "store.db"))) as store, store.session() as state:
        assert (state.contents, state.references, state.files, state.leases) == ({}, {}, {}, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["zoo:away,"], 6, "gone fishing"),
        (["nosuch:store"], 2, "nosuch"),
        (["no-scheme"], 2, "scheme"),
        (["env:NOT_SET"], 1, "NOT_SET"),
        (["memory:", "--seed", "soon"], 2, "seed"),
        (["memory:", "--examples", "0"], 2, "examples"),
        (["memory:", "--patience", "0"], 2, "patience"),
        (["memory:", "--deviations", "none.toml"], 2, "none.toml"),
        ([], 2, "URL"),
    ],
)
def test_what_cannot_be_run_is_said_with_the_right_exit_code(
    kharvest: Run, arguments: list[str], code: int, said: str
) -> None:
    done = kharvest(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_pytest_opens_the_same_tests_on_a_url(tmp_path: Path, zoo_backend: dict[str, str]) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--pyargs", "kharvest_conformance", "--kharvest-store", "env:STORE", f"--kharvest-json={report}"),
            *("--kharvest-examples=1", "--kharvest-seed=random"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**zoo_backend, "STORE": "zoo:PlainStore,"},
    )
    assert done.returncode == 0, done.stdout
    (store,) = json.loads(report.read_text())["stores"]
    assert store["verdict"] == "conforms"
    assert store["ran"] + len(store["skipped"]) >= len(SUITE_TESTS)
    assert "1 examples, seed " in done.stdout


_TYPES = "test_what_calls_on_contents_return_is_of_its_type"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["TellsWhetherItWasNew", "TellsHowManyWent", "ReadsAList", "ReadsMemoryViews"])
def test_pytest_on_a_url_sees_answers_of_other_types(kind: str, tmp_path: Path, zoo_backend: dict[str, str]) -> None:
    report = tmp_path / "report.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-k", _TYPES),
            *("--pyargs", "kharvest_conformance", "--kharvest-store", f"zoo:{kind},", f"--kharvest-json={report}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=zoo_backend,
    )
    (store,) = json.loads(report.read_text())["stores"]
    assert [one["test"] for one in store["failed"]] == [_TYPES]


@pytest.mark.slow
def test_a_store_whose_contents_cannot_be_listed_is_not_tested_at_all(kharvest: Run) -> None:
    done = kharvest("zoo:ListsAList,", "--examples", "1")  # nobody could see whether it is empty
    assert done.returncode != 0
    assert "contents failed" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["TellsWhetherItWasNew", "DigestsAsTheDriverGivesThem"])
def test_the_command_sees_answers_of_other_types(kind: str, kharvest: Run) -> None:
    done = kharvest(f"zoo:{kind},", "--examples", "1")
    assert done.returncode == 1
    assert f"FAILED {_TYPES}" in done.stdout


@pytest.mark.slow
def test_the_same_seed_gives_the_same_examples(kharvest: Run) -> None:
    runs = [kharvest("zoo:WantsAnyPair,", "--seed", "7", "--fast", "--examples", "3", "--json") for _run in range(2)]
    first, second = (json.loads(run.stdout)["stores"][0]["failed"] for run in runs)
    assert [(one["test"], one["snippet"]) for one in first] == [(one["test"], one["snippet"]) for one in second]


def test_a_missing_suite_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    # -S leaves out what is installed in the environment: the suite is really not there.
    core = Path(__file__).parents[2]
    (tmp_path / "pluggy").symlink_to(Path(pluggy.__file__).parent)  # the core depends on it
    program = "import argparse; from kharvest.cli import conformance as command; parser = argparse.ArgumentParser(); "
    program += "command.configure(parser); raise SystemExit(command.run(parser.parse_args(['memory:'])))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{core}{os.pathsep}{tmp_path}"},
    )
    assert done.returncode == 2
    assert "pip install kharvest-conformance" in done.stderr


def test_the_plug_in_costs_other_runs_no_random_tests(tmp_path: Path) -> None:
    program = "import sys, kharvest_conformance.plugin; print([m for m in sys.modules if m == 'hypothesis'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_worker_processes_load_neither_pytest_nor_hypothesis(tmp_path: Path) -> None:
    program = "import sys, kharvest_conformance._worker, kharvest_conformance._tasks; "
    program += "print([m for m in sys.modules if m in ('hypothesis', 'pytest')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_the_suite_knows_the_registry_in_one_module_and_no_store_at_all() -> None:
    package = Path(kharvest_conformance.__file__).parent
    imports = {
        path.relative_to(package).as_posix(): set(
            re.findall(r"^\s*(?:from|import) (kharvest[\w.]*)", text, re.MULTILINE)
        )
        for path in package.rglob("*.py")
        if (text := path.read_text())
    }
    assert {name for name, found in imports.items() if any("registry" in one for one in found)} == {"registered.py"}
    tops = {one.partition(".")[0] for found in imports.values() for one in found}
    assert tops == {"kharvest", "kharvest_conformance"}
    assert imports["_model.py"] == {"kharvest.spi"}
