"""The files that a run can write beside what it says: its report for machines, as JUnit XML, and as a badge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kharvest.spi import InvalidValue, KharvestError
from kharvest_conformance._report import Report
from kharvest_conformance.outputs._badge import badge_of
from kharvest_conformance.outputs._junit import junit_of


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where to write what; None for what nobody wants."""

    json: Path | None = None
    junit: Path | None = None
    badge: Path | None = None

    def prepare(self) -> None:
        """Empty the files before the run: so what cannot be written is known, and no older verdict stays in them.

        Raises:
            InvalidValue: one of them cannot be written.
        """
        for path in filter(None, (self.json, self.junit, self.badge)):
            try:
                path.write_text("")
            except OSError as error:
                problem = f"it cannot be written ({error.strerror})"
                raise InvalidValue(str(path), problem, "name a file in a directory that exists") from error

    def write(self, report: Report) -> None:
        """Write the files.

        Raises:
            KharvestError: one of them cannot be written any more.
        """
        for path, text in self._texts(report):
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise KharvestError(f"{path} cannot be written ({error.strerror}); make room, and run again") from error

    def _texts(self, report: Report) -> Iterator[tuple[Path, str]]:
        if self.json is not None:
            yield self.json, json.dumps(report.as_json(), indent=2) + "\n"
        if self.junit is not None:
            yield self.junit, junit_of(report)
        if self.badge is not None:
            yield self.badge, json.dumps(badge_of(report)) + "\n"
