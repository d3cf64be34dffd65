"""A path leads no further than it may, whoever exchanges its links meanwhile."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kharvest.client._watch import location
from kharvest.client._watch.location import LeadsOut, Location

Content = Callable[[Location], str]


@pytest.fixture(params=["as it is", "by the walk alone"])
def content(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Content:
    """Reads what is at a location, also where what has no links is not tried first."""
    if request.param == "by the walk alone":
        monkeypatch.setattr(location, "_open_without_links", lambda *_: None)
    return read


def read(where: Location) -> str:
    descriptor = where.open(os.O_RDONLY)
    with open(descriptor) as opened:  # noqa: PTH123  # a descriptor
        return opened.read()


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A directory with a file, and a secret beside it."""
    (tmp_path / "watched/below").mkdir(parents=True)
    (tmp_path / "watched/below/file").write_text("ours")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "watched"


@pytest.mark.parametrize("target", ["../secret", "{parent}/secret", "below/../../secret", "below/up/secret", "/"])
def test_a_link_that_is_found_never_leads_out(watched: Path, content: Content, target: str) -> None:
    (watched / "below/up").symlink_to("../..")
    (watched / "link").symlink_to(target.format(parent=watched.parent))
    found = Location(str(watched / "link"), base=str(watched))
    for follow in (found.status, lambda: content(found)):
        with pytest.raises(LeadsOut, match="leads out of"):
            follow()
    with pytest.raises(LeadsOut):
        content(Location(str(watched / "below/up/secret"), base=str(watched)))


@pytest.mark.parametrize("target", ["below/file", "below/../below/file", "{watched}/below/file", "{alias}/below/file"])
def test_a_link_that_stays_within_is_followed_however_it_is_written(
    watched: Path, content: Content, target: str
) -> None:
    alias = watched.with_name("alias")
    alias.symlink_to(watched)
    (watched / "link").symlink_to(target.format(watched=watched, alias=alias))
    for base in (watched, alias):
        assert content(Location(str(base / "link"), base=str(base))) == "ours"


def test_a_mounted_config_map_is_within(watched: Path, content: Content) -> None:
    (watched / "..2026").mkdir()
    (watched / "..2026/app.yaml").write_text("configured")
    (watched / "..data").symlink_to("..2026")
    (watched / "app.yaml").symlink_to("..data/app.yaml")
    (watched / "sub").symlink_to("..data")
    for confine in (False, True):
        assert content(Location(str(watched / "app.yaml"), base=str(watched), confine=confine)) == "configured"
        assert content(Location(str(watched / "app.yaml"), confine=confine)) == "configured"
        assert content(Location(str(watched / "sub/app.yaml"), confine=confine)) == "configured"


def test_below_a_root_links_lead_where_the_application_sees_them_lead(tmp_path: Path, content: Content) -> None:
    root = tmp_path / "root"
    (root / "etc/app").mkdir(parents=True)
    (root / "etc/hostname").write_text("the application's")
    (root / "etc/app/v2").write_text("v2")
    (root / "etc/app/current").symlink_to("/etc/app/v2")
    (root / "etc/app/name").symlink_to("/etc/hostname")
    (root / "etc/app/up").symlink_to("../../../../../../etc/hostname")
    (root / "etc/app/secret").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("the sidecar's")
    (root / "run").symlink_to("/etc")

    def named(path: str) -> Location:
        return Location(f"{root}{path}", root=str(root))

    def found(path: str) -> Location:
        return Location(f"{root}{path}", root=str(root), base=f"{root}/etc/app")

    assert content(named("/etc/app/current")) == content(found("/etc/app/current")) == "v2"
    assert content(named("/run/app/v2")) == "v2"
    for link in ("/etc/app/name", "/etc/app/up"):
        assert content(named(link)) == "the application's"
        with pytest.raises(LeadsOut):
            content(found(link))
    for where in (named("/etc/app/secret"), found("/etc/app/secret")):
        with pytest.raises(FileNotFoundError):
            content(where)


def test_a_path_that_is_named_may_be_a_link_unless_it_is_confined(watched: Path, content: Content) -> None:
    (watched / "out").symlink_to("../secret")
    (watched / "absolute").symlink_to(watched.parent / "secret")
    (watched.parent / "alias").symlink_to("watched")
    (watched / "self").symlink_to("../watched/below")
    for name in ("out", "absolute"):
        assert content(Location(str(watched / name))) == "secret"
        with pytest.raises(LeadsOut, match="the directory that it stands in"):
            content(Location(str(watched / name), confine=True))
    assert content(Location(str(watched.parent / "alias/below/file"), confine=True)) == "ours"
    with pytest.raises(LeadsOut):
        content(Location(str(watched / "self/file"), base=str(watched / "self"), confine=True))


def test_links_in_a_circle_and_what_is_not_there_are_told_as_by_the_system(watched: Path, content: Content) -> None:
    (watched / "one").symlink_to(watched / "two")
    (watched / "two").symlink_to(watched / "one")
    for name, error in (("one", OSError), ("nothing", FileNotFoundError), ("below/file/x", NotADirectoryError)):
        with pytest.raises(error) as raised:
            content(Location(str(watched / name), base=str(watched)))
        assert not isinstance(raised.value, LeadsOut)


def test_a_link_that_is_exchanged_all_the_time_never_leads_out(watched: Path, content: Content) -> None:
    """Whoever may write the volume exchanges a directory and a link to one outside, as fast as possible."""
    (watched.parent / "outside").mkdir()
    (watched.parent / "outside/file").write_text("secret")
    (watched / "other").symlink_to(watched.parent / "outside")
    library = ctypes.CDLL(None)
    one, other = os.fsencode(watched / "below"), os.fsencode(watched / "other")
    stopped = threading.Event()

    def exchange() -> None:
        while not stopped.is_set():
            library.renameat2(-100, one, -100, other, 2)  # AT_FDCWD, RENAME_EXCHANGE

    exchanging = threading.Thread(target=exchange)
    exchanging.start()
    read_ours = 0
    try:
        for _ in range(2000):
            try:
                assert content(Location(str(watched / "below/file"), base=str(watched))) == "ours"
                read_ours += 1
            except OSError:
                pass  # refused, or gone that moment
    finally:
        stopped.set()
        exchanging.join()
    assert read_ours


@pytest.mark.usefixtures("content")
def test_many_paths_leave_no_descriptor_open(watched: Path) -> None:
    (watched / "out").symlink_to("/etc/hosts")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("out", "below/file", "nothing", "below"):
        for confine in (False, True):
            with suppress(OSError):
                Location(str(watched / name), base=str(watched), confine=confine).status()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
