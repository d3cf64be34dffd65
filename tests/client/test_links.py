"""Every directory entry that decides what a path names is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kharvest.client._watch.links import Entry, Tracer


def trace(path: Path | str) -> list[tuple[str, str]]:
    return [(place.directory, place.name) for place in Tracer().trace(str(path))]


def test_a_plain_file_has_one_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert trace(tmp_path / "file") == [(str(tmp_path), "file")]


def test_a_missing_file_has_the_entry_that_is_missing_in_the_nearest_directory(tmp_path: Path) -> None:
    assert trace(tmp_path / "a/b/file") == [(str(tmp_path), "a")]
    (tmp_path / "a").mkdir()
    assert trace(tmp_path / "a/b/file") == [(str(tmp_path / "a"), "b")]


def test_a_config_map_s_file_has_both_links_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026/app.yaml").touch()
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "app.yaml").symlink_to("..data/app.yaml")
    assert trace(tmp_path / "app.yaml") == [
        (str(tmp_path), "app.yaml"),
        (str(tmp_path), "..data"),
        (str(tmp_path / "..2026"), "app.yaml"),
    ]


def test_links_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "deep").mkdir(parents=True)
    (real / "deep/file").touch()
    (tmp_path / "absolute").symlink_to(real / "deep")
    (real / "up").symlink_to("../absolute/../deep/./file")
    assert trace(real / "up") == [
        (str(real), "up"),
        (str(tmp_path), "absolute"),
        (str(real / "deep"), "file"),
    ]
    assert trace(tmp_path / "absolute/file") == [(str(tmp_path), "absolute"), (str(real / "deep"), "file")]


def test_a_link_to_nothing_has_the_entry_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone/file")
    assert trace(tmp_path / "link") == [(str(tmp_path), "link"), (str(tmp_path), "gone")]


def test_below_a_root_links_lead_as_the_application_sees_them(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/app").mkdir(parents=True)
    (root / "etc/name").touch()
    (root / "etc/app/name").symlink_to("/etc/name")
    (root / "etc/app/up").symlink_to("../../../../../../etc/name")
    for link in ("name", "up"):
        places = Tracer(str(root)).trace(f"{root}/etc/app/{link}")
        assert [(place.directory, place.name) for place in places] == [
            (f"{root}/etc/app", link),
            (f"{root}/etc", "name"),
        ]
    assert Tracer(str(tmp_path / "nowhere")).trace(f"{tmp_path}/nowhere/file") == (Entry(str(tmp_path), "nowhere"),)


def test_a_path_of_2000_directories_is_followed(tmp_path: Path) -> None:
    deep = str(tmp_path) + "/a" * 1900
    subprocess.run(["mkdir", "-p", deep], check=True)  # Python's recurses
    try:
        assert trace(f"{deep}/file") == [(deep, "file")]
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert (str(tmp_path), "one") in trace(tmp_path / "one/file")
    assert (str(tmp_path), "two") in trace(tmp_path / "one")


def test_a_directory_in_place_of_a_file_is_watched_in_its_parent(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    assert trace(tmp_path / "directory") == [(str(tmp_path), "directory")]
    assert trace("/") == []
    assert Entry("/", "x") == Entry("/", "x")
