"""Every distribution builds a wheel, and what is installed from wheels alone works.

With the newest dependencies that the constraints name, and with the oldest that the project allows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT, *sorted(path.parent for path in ROOT.glob("backends/*/pyproject.toml")), ROOT / "conformance"]
OLDEST = ("grpcio==1.72.2", "grpcio-health-checking==1.72.2", "grpcio-reflection==1.72.2", "protobuf==6.30.2")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in FOLDERS:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, project)
    assert len(list(folder.glob("*.whl"))) == len(FOLDERS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("versions", ["newest", "oldest"])
def test_kharvest_with_the_sql_extra_works_in_an_empty_environment(wheels: Path, tmp_path: Path, versions: str) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    pinned = ["--constraint", str(ROOT / "constraints.txt")] if versions == "newest" else list(OLDEST)
    python = environment / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--find-links", wheels, "kharvest[sql,memory,fsspec]", *pinned)
    kharvest = environment / "bin/kharvest"
    listed = json.loads(run(kharvest, "stores", "--json", "--check", cwd=tmp_path))
    assert {one["distribution"]: one["state"] for one in listed} == {
        "kharvest-fsspec": "ok",
        "kharvest-memory": "ok",
        "kharvest-sql": "ok",
    }
    # And the main job, from the wheels alone: a server, a client, a query.
    script = """
import subprocess, sys
from pathlib import Path
Path("file").write_text("hello\\n")
server = subprocess.Popen([sys.argv[1], "server", "--store", "sqlite:///s.db", "--listen", "127.0.0.1:0"],
                          stdout=subprocess.PIPE, text=True)
address = server.stdout.readline().split()[-1]
one = ["--server", address, "--namespace", "n", "--pod", "p"]
subprocess.run([sys.argv[1], "client", "--once", *one, "file"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.argv[1], "cat", "--server", address, str(Path("file").resolve())], check=True)
server.terminate()
assert server.wait() == 0
"""
    assert run(python, "-W", "error", "-c", script, kharvest, cwd=tmp_path) == "hello\n"


@pytest.mark.slow
def test_the_core_works_alone_and_says_how_to_get_a_store(wheels: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    constraints = str(ROOT / "constraints.txt")
    python = environment / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--find-links", wheels, "kharvest", "--constraint", constraints)
    kharvest = environment / "bin/kharvest"
    assert json.loads(run(kharvest, "stores", "--json", cwd=tmp_path)) == []
    server = [str(kharvest), "server", "--listen", "127.0.0.1:0", "--store", "sqlite:///s.db"]
    refused = subprocess.run(server, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "pip install 'kharvest[sql]'" in refused.stderr


@pytest.mark.slow
def test_kharvest_with_the_mongo_extra_has_its_driver(wheels: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    python, kharvest = environment / "bin/python", environment / "bin/kharvest"
    constraints = str(ROOT / "constraints.txt")
    run(python, "-m", "pip", "install", "--quiet", "--find-links", wheels, "kharvest[mongo]", "-c", constraints)
    listed = json.loads(run(kharvest, "stores", "--json", "--check", cwd=tmp_path))
    assert {one["distribution"]: one["state"] for one in listed} == {"kharvest-mongo": "ok"}
    url = "mongodb://user:hunter2@127.0.0.1:1/kharvest?serverSelectionTimeoutMS=200"
    server = [str(kharvest), "server", "--listen", "127.0.0.1:0", "--store", url, "--start-seconds", "0.1"]
    refused = subprocess.run(server, capture_output=True, text=True, check=False)
    assert refused.returncode == 6
    assert "store unavailable: no answer from the server: 127.0.0.1:1" in refused.stderr
    assert "hunter2" not in refused.stdout + refused.stderr
