"""The page of the server's options in the docs, made from its parser. Run it to write the page anew."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from kharvest.cli import server

PAGE = Path(__file__).parents[2] / "docs/reference/server-options.md"
_HEAD = """\
# Server options

Every option of `kharvest server`, as `kharvest server --help` prints them. How they work together is on the page
[run the server](../how-to/run-the-server.md).

`python tests/docs/server_options.py` writes this page. A test fails if the page is out of date.

Arguments win over environment variables, and these over the defaults. Options without a variable are arguments only.
Sizes are in bytes and times in seconds. Programs set the same in `kharvest.server.ServerConfig`.
"""


def page() -> str:
    """The page, in Markdown."""
    parser = argparse.ArgumentParser(add_help=False)
    server.configure(parser)
    sections = (line for group in parser._action_groups for line in _sections(group))
    return "\n".join((_HEAD, *sections))


def _sections(group: argparse._ArgumentGroup) -> list[str]:
    if not group._group_actions:
        return []
    title = "Store, addresses and logs" if group.title == "options" else f"{group.title}".capitalize()
    rows = ["| option | default | what it is |", "|---|---|---|", *map(_row, group._group_actions)]
    return [f"## {title}\n", *rows, ""]


def _row(action: argparse.Action) -> str:
    value = f" {action.metavar}" if action.metavar else f" {{{','.join(action.choices or ())}}}"
    about, _, default = (action.help or "").removesuffix(")").partition(" (default: ")
    return f"| `{action.option_strings[0]}{value}` | {_marked(default)} | {_marked(about)} |"


def _marked(text: str) -> str:
    """Options, variables and URLs in a help text, as code."""
    return re.sub(r"(?<!`)(--[a-z-]+[a-z]|\$KHARVEST_\w+|sqlite:\S+)", r"`\1`", text)


if __name__ == "__main__":
    PAGE.write_text(page())
