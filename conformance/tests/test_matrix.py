"""The page that compares reports says what they say, shows what keeps them from being compared, and trusts no text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from kharvest.cli.main import run as kharvest
from kharvest_conformance.matrix import InvalidReport, as_html, as_markdown, compared

EVIL = '<script>alert("x")</script>&|`*_[a](b) \x00\n# x'
VOID = {"meta", "br", "wbr"}


def result(test: str, place: str = "ContentStore.put", words: str = "Store the bytes.", **more: str) -> dict[str, Any]:
    return {"test": test, "clause": f"{place}: {words}", "seconds": 0.1, **more}


def report(name: str = "mine://host", verdict: str = "conforms", **more: Any) -> dict[str, Any]:
    store = {
        "store": name,
        "version": "kharvest-mine 1.2",
        "capabilities": ["DURABLE"],
        "verdict": verdict,
        "ran": 1,
        "passed": [result("test_one")],
        "failed": [],
        "deviations": [],
        "warnings": [],
        "skipped": [],
        "deselected": [],
        "problems": [],
    }
    run = {
        "format": 1,
        "suite": "0.1.0",
        "spi": [1, 0],
        "python": "3.12.1",
        "examples": 30,
        "seed": 1,
        "fast": False,
        "problems": [],
    }
    store |= {key: value for key, value in more.items() if key in store}
    return (
        run | {key: value for key, value in more.items() if key not in store or key == "problems"} | {"stores": [store]}
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[Path]]:
    def write(*reports: object) -> list[Path]:
        paths = [tmp_path / f"report{number}.json" for number in range(len(reports))]
        for path, one in zip(paths, reports, strict=True):
            path.write_text(one if isinstance(one, str) else json.dumps(one))
        return paths

    return write


Write = Callable[..., list[Path]]


class Page(HTMLParser):
    """A page as a browser sees it: refuses tags that are not closed, and keeps what is there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _tag, attrs in self.tags if (value := attrs.get(attribute)) is not None]


FAILING = report(
    "other://host",
    "fails",
    failed=[result("test_two", detail="AssertionError: it differs", snippet="store.put(one)")],
    skipped=[result("test_three", "Capability", "What is declared", detail="the store does not declare SHARED")],
    deviations=[result("test_four", "ReferenceStore.record", "one atomic batch", detail="the driver cannot")],
    warnings=[result("test_five", "values.Query", "path: the exact path.", detail="new")],
    problems=["test_six has gone missing"],
)


def test_the_page_has_a_column_a_store_and_a_row_a_test(write: Write) -> None:
    page = Page(as_html(compared(write(report(), FAILING))))
    for said in (
        *("mine://host", "other://host", "kharvest-mine 1.2", "DURABLE", "conforms", "fails"),
        *("Store the bytes.", "test_two", "AssertionError: it differs", "store.put(one)", "the driver cannot"),
        *("the store does not declare SHARED", "test_six has gone missing", "not run"),
    ):
        assert said in page.text
    places = [attrs for tag, attrs in page.tags if tag == "th" and attrs.get("scope") == "rowgroup"]
    assert len(places) == 4


def test_places_come_in_the_order_of_the_contract(write: Write) -> None:
    groups = compared(write(FAILING)).groups
    assert [group.place for group in groups] == [
        "Capability",
        "ContentStore.put",
        "ReferenceStore.record",
        "values.Query",
    ]


def test_the_page_loads_nothing_and_every_link_leads_somewhere_on_it(write: Write) -> None:
    page = Page(as_html(compared(write(report(), FAILING))))
    targets = set(page.values("id"))
    assert len(targets) == len(page.values("id"))
    assert {link.removeprefix("#") for link in page.values("href")} <= targets
    assert not page.values("src")
    assert {tag for tag, _attrs in page.tags}.isdisjoint({"script", "link", "img", "iframe"})


def test_a_screen_reader_and_a_phone_are_served(write: Write) -> None:
    page = Page(as_html(compared(write(report(), FAILING))))
    assert page.values("lang") == ["en"]
    assert "width=device-width" in page.values("content")[0]
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    scrolled = [attrs for _tag, attrs in page.tags if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-labelledby"] in page.values("id") for attrs in scrolled)
    # No outcome is told by its colour or sign alone.
    assert all(word in page.text for word in ("passed", "fails", "skipped", "deviates", "warning"))


def test_no_text_of_a_report_is_taken_for_a_part_of_the_page(write: Write) -> None:
    evil = report(
        EVIL,
        "fails",
        version=EVIL,
        capabilities=[EVIL],
        suite=EVIL,
        python=EVIL,
        failed=[result(EVIL, EVIL, EVIL, detail=EVIL, snippet=f"{EVIL}\n```\n{EVIL}")],
        skipped=[result(f"{EVIL}2", detail=EVIL)],
        deselected=[EVIL],
        problems=[EVIL],
    )
    comparison = compared(write(evil, report()))
    page = Page(as_html(comparison))
    assert not [tag for tag, _attrs in page.tags if tag == "script"]
    assert page.text.count("<script>") > 8
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(as_markdown(comparison))
    rows = [token for token in tokens if token.type == "tr_open"]
    cells = [token for token in tokens if token.type in {"td_open", "th_open"}]
    assert len(rows) == (1 + 2) + (1 + 2) + (1 + 3)  # by the store, by the place, all tests
    assert len(cells) == 3 * 7 + 3 * 3 + 4 * 4
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {
        "text",
        "softbreak",
        "html_inline",
        "code_inline",
        "strong_open",
        "strong_close",
    }
    assert {child.content for child in inline if child.type == "html_inline"} <= {"<br>"}
    assert {token.content.strip() for token in tokens if token.type == "html_block"} == {
        "<details><summary>All tests</summary>",
        "</details>",
    }


def test_markdown_says_the_same_shortly(write: Write) -> None:
    text = as_markdown(compared(write(report(), FAILING)))
    assert "| mine\\://host | kharvest-mine 1.2 | ✓ conforms | DURABLE | 1 |" in text
    assert "| `ContentStore.put` | 1 ✓ | 1 ✓ 1 ✗ |" in text
    assert "```text\nAssertionError: it differs\n```" in text


def test_megabytes_of_a_failure_are_shown_by_their_first_lines(write: Write) -> None:
    detail = "AssertionError: they differ\n" + "left\n" * 500_000
    program = f"store.put(one)\nstore.record({'p' * 6_000_000})"
    huge = report(failed=[result(f"test_{number}", detail=detail, snippet=program) for number in range(3)])
    comparison = compared(write(huge))
    for text in (as_html(comparison), as_markdown(comparison)):
        assert len(text) < 30_000
        assert text.count("AssertionError: they differ") == 3
        assert text.count("store.put(one)") == 3
        assert text.count("2,499,946 more characters in report0.json") == 3
        assert text.count("5,997,029 more characters in report0.json") == 3


def test_a_short_failure_is_shown_whole(write: Write) -> None:
    comparison = compared(write(FAILING))
    assert "more character" not in as_html(comparison) + as_markdown(comparison)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (report(suite="0.2.0"), "suite 0.2.0; others have 0.1.0"),
        (report(spi=[1, 1]), "SPI 1.1; others have 1.0"),
        (report(examples=2000), "random examples: 2000; others have 30"),
        (report(fast=True, verdict="incomplete", deselected=["test_slow"]), "a fast run"),
        (report(verdict="incomplete", deselected=["test_slow", "test_other"]), "2 tests were left out"),
        (report(verdict="incomplete", deselected=["test_slow"]), "1 test was left out"),
    ],
)
def test_what_keeps_reports_from_being_compared_is_marked(write: Write, other: dict[str, Any], said: str) -> None:
    comparison = compared(write(report(), other))
    assert any(said in mark for mark in comparison.marks[1])
    assert said in Page(as_html(comparison)).text
    assert said in as_markdown(comparison).replace("\\", "")


def test_like_reports_have_no_marks(write: Write) -> None:
    comparison = compared(write(report(), report("other:")))
    assert comparison.marks == ((), ())
    assert "These runs differ" not in as_html(comparison)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "it is no JSON object"),
        ("{}", "format is missing"),
        (json.dumps(report(format=2)), "it has format 2, and this suite reads 1"),
        (json.dumps(report(format="1")), "format is no whole number"),
        (json.dumps(report(verdict="fine")), "stores[0].verdict is not one of conforms"),
        (json.dumps(report(passed=172)), "stores[0].passed is no list"),
        (json.dumps(report(passed=[{"test": "test_one"}])), "stores[0].passed[0].clause is missing"),
        (json.dumps(report(spi=["1"])), "spi[0] is no whole number"),
        (json.dumps({**report(), "stores": []}), "no store was tested"),
        (json.dumps({**report(), "stores": [1]}), "stores[0]. is no JSON object"),
    ],
)
def test_a_file_that_is_no_report_is_named(
    write: Write, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    good, bad = write(report(), text)
    with pytest.raises(InvalidReport, match=re.escape(said)) as caught:
        compared([good, bad])
    assert caught.value.path == bad
    assert kharvest(["conformance", "--matrix", str(good), str(bad)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(bad) in shown.err


def test_the_command_writes_the_page(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in write(report(), FAILING)]
    assert kharvest(["conformance", "--matrix", *paths]) == 0
    html = capsys.readouterr().out
    assert html.startswith("<!doctype html>")
    for name, options, start in (
        ("page.html", [], "<!doctype html>"),
        ("page.md", [], "## Conformance"),
        ("page.txt", ["--format", "md"], "## Conformance"),
        ("other.md", ["--format", "html"], "<!doctype html>"),
    ):
        assert kharvest(["conformance", "--matrix", *paths, "-o", str(tmp_path / name), *options]) == 0
        assert (tmp_path / name).read_text().startswith(start)
    assert kharvest(["conformance", "--matrix", *paths, "-o", str(tmp_path / "none" / "page.html")]) == 1
    assert "none/page.html cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x://me:hunter2@host", "--matrix", "FILE"], "x://me:***@host: --matrix compares reports and runs nothing"),
        (["--matrix", "FILE", "--examples", "0"], "--examples: --matrix compares reports"),
        (["--matrix", "FILE", "--junit", "x"], "--junit: --matrix compares reports"),
        (["--matrix", "FILE", "--destroy-data"], "--destroy-data: --matrix compares reports"),
        (["memory:", "-o", "x"], "--output: it is an option of --matrix"),
        (["memory:", "--format", "md"], "--format: it is an option of --matrix"),
        (["--matrix", "none.json"], "none.json: it cannot be read"),
        (["--matrix"], "expected at least one argument"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    write: Write, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (file,) = write(report())
    assert kharvest(["conformance", *(str(file) if one == "FILE" else one for one in arguments)]) == 2
    assert said in capsys.readouterr().err
