"""Backends are found without being imported, loaded one at a time, and a broken one stops nobody else.

Every distribution here is a real one on disk: a module beside its `.dist-info`, on the path of a real interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKING = """
from kharvest.spi import Backend, InvalidStoreURL, hookimpl

def opened(url):
    raise InvalidStoreURL(url, "this is {module}", "nothing to do")

@hookimpl
def kharvest_backend(scheme):
    return Backend(spi_version=({spi}), capabilities=frozenset(), open=opened)
"""


def install(site: Path, name: str, schemes: tuple[str, ...], source: str | None, version: str = "1.0") -> None:
    """A distribution with one module, as an installer leaves it."""
    module = name.replace("-", "_")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{scheme} = {module}" for scheme in schemes]
    (info / "entry_points.txt").write_text("[kharvest.stores]\n" + "\n".join(lines) + "\n")
    if source is not None:
        (site / f"{module}.py").write_text(source.replace("{module}", module).replace("{spi}", "1, 0"))


def kharvest(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with what is installed in `site`, besides what is installed here."""
    return subprocess.run(
        [sys.executable, "-m", "kharvest", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_backend_of_somebody_else_is_found_and_opened(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("acme",), WORKING)
    run = kharvest(tmp_path, "server", "--store", "acme://here")
    assert run.returncode == 2
    assert "this is acme_store" in run.stderr


def test_a_scheme_with_a_driver_falls_back_to_the_scheme_before_the_plus(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("acme",), WORKING)
    assert "this is acme_store" in kharvest(tmp_path, "server", "--store", "acme+driver://here").stderr


def test_an_unknown_scheme_names_the_known_ones_and_close_matches(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("acme",), WORKING)
    run = kharvest(tmp_path, "server", "--store", "sqllite:///x.db")
    assert run.returncode == 2
    assert "'sqllite'" in run.stderr
    assert "did you mean sqlite" in run.stderr
    assert "acme" in run.stderr
    assert "memory" in run.stderr


def test_one_of_ours_that_is_not_installed_is_told_with_the_pip_line(tmp_path: Path) -> None:
    """An interpreter that sees the core's source and libraries, but no installed backend."""
    code = (
        "import importlib.metadata as m; real = m.entry_points\n"
        "import sys; sys.path = [p for p in sys.path if '__editable__' not in p]\n"
        "from kharvest.registry import open_store\n"
        "open_store('sqlite:///x.db')"
    )
    # -S leaves out site-packages, and with it every installed distribution; libraries are put back without theirs.
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    import pluggy  # noqa: PLC0415

    (libraries / "pluggy").symlink_to(Path(pluggy.__file__).parent)
    (libraries / "kharvest").symlink_to(Path(__file__).parents[2] / "kharvest")
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": str(libraries)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "BackendNotInstalled" in run.stderr
    assert "pip install 'kharvest[sql]'" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "told"),
    [
        pytest.param("import there_is_no_such_driver\n", "there_is_no_such_driver", id="a missing driver"),
        pytest.param("def broken(:\n", "SyntaxError", id="a syntax error"),
        pytest.param("raise SystemExit(3)\n", "SystemExit", id="it exits"),
        pytest.param("x = 1\n", "not a Backend", id="no hook"),
        pytest.param(
            WORKING.replace("return Backend", "return None or print").replace("open=opened", "sep=''"),
            "TypeError",
            id="a hook that fails",
        ),
        pytest.param(None, "No module named 'acme_broken'", id="no module"),
    ],
)
def test_a_broken_backend_is_told_with_its_cause_and_stops_nobody_else(
    tmp_path: Path, source: str | None, told: str
) -> None:
    install(tmp_path, "acme-broken", ("broken",), source)
    install(tmp_path, "acme-store", ("acme",), WORKING)
    run = kharvest(tmp_path, "server", "--store", "broken://here")
    assert run.returncode == 1
    assert "acme-broken" in run.stderr
    assert told in run.stderr
    assert "this is acme_store" in kharvest(tmp_path, "server", "--store", "acme://here").stderr

    listing = kharvest(tmp_path, "stores", "--json")
    assert listing.returncode == 0
    state = {one["distribution"]: one for one in json.loads(listing.stdout)}
    assert state["acme-store"]["state"] == "ok"
    assert state["acme-store"]["spi_version"] == "1.0"
    assert state["acme-store"]["schemes"] == ["acme"]
    assert state["acme-broken"]["state"] == "broken"
    assert told in state["acme-broken"]["problem"]
    assert kharvest(tmp_path, "stores", "--check").returncode == 1


@pytest.mark.slow
def test_two_distributions_that_claim_one_scheme_are_both_named(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("acme",), WORKING)
    install(tmp_path, "other-store", ("acme", "other"), WORKING)
    run = kharvest(tmp_path, "server", "--store", "acme://here")
    assert run.returncode == 1
    assert "acme-store" in run.stderr
    assert "other-store" in run.stderr
    assert "this is other_store" in kharvest(tmp_path, "server", "--store", "other://here").stderr
    assert "acme-store and other-store" in kharvest(tmp_path, "stores").stdout


@pytest.mark.slow
@pytest.mark.parametrize(("spi", "upgrade"), [("2, 0", "kharvest"), ("1, 99", "kharvest"), ("0, 9", "acme-store")])
def test_a_backend_for_another_spi_is_refused_with_what_to_upgrade(tmp_path: Path, spi: str, upgrade: str) -> None:
    install(tmp_path, "acme-store", ("acme",), WORKING.replace("{spi}", spi))
    run = kharvest(tmp_path, "server", "--store", "acme://here")
    assert run.returncode == 1
    assert f"version {spi.replace(', ', '.')} of the SPI" in run.stderr
    assert f"upgrade {upgrade}" in run.stderr


DECLARING = """
from kharvest.spi import Backend, Capability, hookimpl

class Store:
    capabilities = frozenset({Capability.SHARED})
    def close(self):
        print("{module} was closed", flush=True)

@hookimpl
def kharvest_backend(scheme):
    declared = {Capability.DURABLE, Capability.SHARED} if scheme == "durable" else {Capability.SHARED}
    opened = lambda url: Store()
    return Backend(spi_version=({spi}), capabilities=frozenset(declared), open=opened, open_references=opened)
"""


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--contents", "memory:")], ids=["whole", "half"])
def test_a_store_with_less_than_its_backend_declares_is_closed_and_refused(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    install(tmp_path, "acme-store", ("durable", "shared"), DECLARING)
    run = kharvest(tmp_path, "server", "--store", "durable://here", *more)
    assert run.returncode == 1
    assert "acme-store declares that stores of 'durable' are durable, and opened one that is not" in run.stderr
    assert run.stdout == "acme_store was closed\n"


def test_what_each_scheme_of_a_distribution_gives_is_listed(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("durable", "other", "shared"), DECLARING)
    listed = {one["distribution"]: one for one in json.loads(kharvest(tmp_path, "stores", "--json").stdout)}
    assert listed["acme-store"]["capabilities"] == {
        "durable": ["durable", "shared"],
        "other": ["shared"],
        "shared": ["shared"],
    }
    rows = [" ".join(line.split()) for line in kharvest(tmp_path, "stores").stdout.splitlines()]
    assert "acme-store 1.0 1.0 durable durable, shared ok" in rows
    assert "acme-store 1.0 1.0 other, shared shared ok" in rows


def test_a_scheme_that_cannot_be_loaded_leaves_the_others_of_its_distribution_as_they_are(tmp_path: Path) -> None:
    install(tmp_path, "acme-store", ("acme", "twice"), WORKING)
    install(tmp_path, "other-store", ("twice",), WORKING)
    listed = {one["distribution"]: one for one in json.loads(kharvest(tmp_path, "stores", "--json").stdout)}
    assert listed["acme-store"]["state"] == "broken"
    assert listed["acme-store"]["capabilities"] == {"acme": [], "twice": None}
    rows = [" ".join(line.split()) for line in kharvest(tmp_path, "stores").stdout.splitlines()]
    assert "acme-store 1.0 1.0 acme - ok" in rows


def test_a_backend_whose_driver_is_not_installed_is_named(tmp_path: Path) -> None:
    source = WORKING.replace('raise InvalidStoreURL(url, "this is {module}", "nothing to do")', "import no_such_driver")
    install(tmp_path, "acme-store", ("acme",), source)
    run = kharvest(tmp_path, "server", "--store", "acme://here")
    assert run.returncode == 1
    assert "acme-store, the backend for 'acme', cannot be loaded" in run.stderr
    assert "no_such_driver" in run.stderr


def test_what_is_installed_here_is_whole(tmp_path: Path) -> None:
    run = kharvest(tmp_path, "stores", "--json", "--check")
    assert run.returncode == 0, run.stdout
    listed = {one["distribution"]: one for one in json.loads(run.stdout)}
    assert listed["kharvest-memory"]["schemes"] == ["memory"]
    assert listed["kharvest-sql"]["capabilities"]["sqlite"] == ["durable", "shared"]
