"""Globs find what they say, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kharvest.client import ConfigurationError, directory_rule, glob_rule
from kharvest.client._watch.search import find

TREE = ("a.yaml", "b.txt", ".hidden.yaml", "one/a.yaml", "one/two/a.yaml", "one/two/b.txt", "one/.git/config.yaml")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.yaml", {"a.yaml", ".hidden.yaml"}),
        ("[ab].*", {"a.yaml", "b.txt"}),
        ("?.txt", {"b.txt"}),
        ("**", set(TREE)),
        ("**/*.yaml", {name for name in TREE if name.endswith(".yaml")}),
        ("**/two/*", {"one/two/a.yaml", "one/two/b.txt"}),
        ("one/**/a.yaml", {"one/a.yaml", "one/two/a.yaml"}),
        ("*/two/b.*", {"one/two/b.txt"}),
        ("**/**/b.txt", {"b.txt", "one/two/b.txt"}),
        ("nothing/*", set()),
        ("*", {"a.yaml", "b.txt", ".hidden.yaml"}),
    ],
)
def test_a_glob_finds_the_files_that_match(tree: Path, glob: str, found: set[str]) -> None:
    assert set(find(glob_rule(f"{tree}/{glob}")).files) == {f"{tree}/{name}" for name in found}


@pytest.mark.parametrize(
    ("exclude", "left_out"),
    [
        ("*.txt", {"b.txt", "one/two/b.txt"}),
        ("one", {name for name in TREE if name.startswith("one/")}),
        (".*", {".hidden.yaml", "one/.git/config.yaml"}),
        ("**/two/*.yaml", {"one/two/a.yaml"}),
        ("{tree}/one/*", {name for name in TREE if name.startswith("one/")}),
    ],
)
def test_what_is_excluded_is_not_found(tree: Path, exclude: str, left_out: set[str]) -> None:
    rule = directory_rule(str(tree), exclude=(exclude.format(tree=tree),))
    assert set(find(rule).files) == {f"{tree}/{name}" for name in set(TREE) - left_out}


def test_a_directory_that_is_left_out_is_not_searched(tree: Path) -> None:
    for exclude in ("one", "**/one", f"{tree}/one/**", f"{tree}/one/"):
        assert find(directory_rule(str(tree), exclude=(exclude,))).directories == {os.path.realpath(tree)}


def test_only_directories_in_which_something_may_match_are_searched(tree: Path) -> None:
    found = find(glob_rule(f"{tree}/*/t*/a.yaml"))
    assert found.directories == {os.path.realpath(tree / below) for below in ("", "one", "one/two")}


@pytest.mark.timeout(60)
def test_excludes_with_many_wildcards_are_matched_with_deep_paths(tmp_path: Path) -> None:
    for exclude in ("/**/a/**/a/**/a/**/a/**/b", "/**" + "/a/**" * 99, "*a" * 50 + "b"):
        rule = directory_rule(str(tmp_path), exclude=(exclude,))
        assert not rule.excludes("/a" * 90 + f"/{'a' * 250}")


def test_a_literal_asterisk_is_part_of_the_root(tmp_path: Path) -> None:
    for name in ("star*", "start"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").touch()
    rule = glob_rule(rf"{tmp_path}/star\*/?.txt")
    assert rule.root == f"{tmp_path}/star*"
    assert find(rule).files == {f"{tmp_path}/star*/a.txt"}


def test_links_to_files_are_found_and_links_to_directories_are_followed_by_name_only(tree: Path) -> None:
    (tree / "link.yaml").symlink_to("a.yaml")
    (tree / "dangling.yaml").symlink_to("nothing")
    (tree / "round").symlink_to(".")
    assert f"{tree}/link.yaml" in find(glob_rule(f"{tree}/**")).files
    assert f"{tree}/dangling.yaml" not in find(glob_rule(f"{tree}/**")).files
    assert not [path for path in find(glob_rule(f"{tree}/**")).files if "/round/" in path]
    assert find(glob_rule(f"{tree}/roun[d]/b.txt")).files == {f"{tree}/round/b.txt"}


def test_kubernetes_own_directories_are_not_searched(tree: Path) -> None:
    (tree / "..2026").mkdir()
    (tree / "..2026/a.yaml").touch()
    assert not [path for path in find(directory_rule(str(tree))).files if ".." in path]


@pytest.mark.parametrize("glob", ["relative/*", "/a/../b/*", "/plain", "/nul\0*", "/open/[a", "/*/a\\"])
def test_a_glob_that_cannot_work_is_refused(glob: str) -> None:
    with pytest.raises(ConfigurationError, match="glob"):
        glob_rule(glob)


@pytest.mark.parametrize("exclude", ["relative/*", "[a", "/**/b[", "*" * 101])
def test_an_exclude_that_cannot_work_is_refused(exclude: str) -> None:
    with pytest.raises(ConfigurationError, match="exclude"):
        directory_rule("/a", exclude=(exclude,))
