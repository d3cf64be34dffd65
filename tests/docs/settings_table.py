"""The table of the client's settings in the docs, made from the client's list. Run it to write the page anew."""

from __future__ import annotations

import re
from pathlib import Path

from kharvest.client import SETTINGS, Setting, Shape

PAGE = Path(__file__).parents[2] / "docs/how-to/configure-the-client.md"
_TABLE = re.compile(r"(?<=<!-- the settings: python tests/docs/settings_table.py -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """The table, in Markdown."""
    lines = ["| argument | environment | in the file | default | what it is |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, SETTINGS)]) + "\n"


def written() -> str:
    """The table as the page has it."""
    found = _TABLE.search(PAGE.read_text())
    assert found is not None, f"{PAGE.name} has no table of settings"
    return found[0]


def _row(setting: Setting) -> str:
    separator = f" (`{setting.kind.separator}` between)" if setting.kind.separator else ""
    option = f"{setting.option} {setting.kind.metavar}".strip() if setting.option.startswith("-") else setting.option
    if setting.option and setting.kind.shape is not Shape.ONE:
        option += " …"
    cells = (
        f"`{option}`" if option else "",
        f"`{setting.variable}`{separator}" if setting.variable else "",
        f"`{setting.key}`" if setting.key else "",
        setting.default,
        setting.about,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(_TABLE.sub(lambda _: table(), PAGE.read_text()))
