"""The parser of the command line: what is given is taken as it is, or refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from kharvest.cli.exits import Exit
from kharvest.cli.text import one_line


class Once(argparse.Action):
    """Stores the value of a filter, and refuses it a second time: all filters must match, and one would not count."""

    _is_given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002  # argparse's signature
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Store the value."""
        if self._is_given:
            raise argparse.ArgumentError(self, "it is given twice; give it once")
        self._is_given = True
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes options by their whole names only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, as one line after the usage, and exit."""
        super().error(one_line(message))


def exit_of(error: SystemExit) -> int:
    """The exit code of what the parser has said already."""
    return error.code if isinstance(error.code, int) else Exit.USAGE
