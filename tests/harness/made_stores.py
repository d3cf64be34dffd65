"""Packages that `kharvest new-store` makes, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFORMANCE = ROOT / "conformance"
NOT_WRITTEN = "ContentStore.put is not written yet"
COMMIT_NOT_WRITTEN = "Engine.commit is not written yet"
PATIENCE_SECONDS = 600


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    environment = {**os.environ, **variables}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def kharvest(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return run(sys.executable, "-m", "kharvest", *arguments, cwd=cwd, **variables)


def made(folder: Path, name: str, *options: str) -> Path:
    """A new package in a folder."""
    done = kharvest("new-store", name, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / f"kharvest-{name}"


def write_put(package: Path) -> None:
    """Do what the comment in `put` says."""
    _write(package, "store.py", 3)


def write_commit(package: Path) -> None:
    """Do what the comment in `commit` says."""
    _write(package, "engine.py", 8)


def _write(package: Path, name: str, number: int) -> None:
    (store,) = package.glob(f"kharvest_*/{name}")
    text = store.read_text()
    lines = re.findall(r"^        #     (.*)\n", text, re.MULTILINE)
    assert len(lines) == number
    text, replaced = re.subn(
        r"^        raise NotImplementedError\(.*\)\n",
        "".join(f"        {line}\n" for line in lines),
        text,
        flags=re.MULTILINE,
    )
    assert replaced == 1
    store.write_text(text)


def installed(package: Path, folder: Path) -> dict[str, str]:
    """Build and install a package into a folder, away from its sources; the variables with which it is found."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = run(*pip, "--target", folder, package, cwd=folder)
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
