"""What a store is known not to keep: one file, a reason for each, and no entry that has outlived its cause."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

from kharvest.spi import InvalidValue


class InvalidDeviations(InvalidValue):
    """A file of deviations cannot be used.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"deviations in {path}", problem, remedy)
        self.path = path


def read_deviations(path: Path, tests: Collection[str]) -> dict[str, str]:
    """The reasons by test, from a TOML file with a table `deviations`.

    A name is a test's, or that of one of its cases, `test_name[case]`.

    Raises:
        InvalidDeviations: the file cannot be read, a reason is empty, or no test has a name.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidDeviations(path, f"it cannot be read ({error.strerror})", "name a file that exists") from error
    except ValueError as error:
        raise InvalidDeviations(path, f"it is not TOML ({error})", "correct it") from error
    table = document.get("deviations")
    if not isinstance(table, dict) or document.keys() != {"deviations"}:
        raise InvalidDeviations(
            path, "it must have one table, `deviations`", 'write [deviations], then test = "reason"'
        )
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidDeviations(path, f"{name} has no reason", "say why the store deviates")
        if name.partition("[")[0] not in tests:
            raise InvalidDeviations(path, f"no test is named {name}", "correct or remove it")
    return table
