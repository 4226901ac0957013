"""Which home is meant, that it is private, and that files in it are born private and whole."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshctl.errors import MeshError
from meshctl.store.home import LONGEST_SOCKET_NAME, Home, open_home, which_home, write_private

if TYPE_CHECKING:
    from conftest import Disk


@pytest.fixture
def no_umask() -> Iterator[None]:
    """The most generous umask: what is private in spite of it is private by birth."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("flag", "environ", "config_at", "expected"),
    [
        ("/flag", {"MESHCTL_HOME": "/env", "XDG_STATE_HOME": "/state"}, "a", "/flag"),
        (None, {"MESHCTL_HOME": "/env", "XDG_STATE_HOME": "/state"}, "a", "/env"),
        (None, {"MESHCTL_HOME": "", "XDG_STATE_HOME": "/state"}, "a", "{}/a/.meshctl"),
        (None, {"XDG_STATE_HOME": "/state"}, "a/b", "{}/a/b/.meshctl"),
        (None, {"XDG_STATE_HOME": "/state"}, "", "{}/.meshctl"),
        (None, {"XDG_STATE_HOME": "/state"}, None, "/state/meshctl"),
        (None, {"XDG_STATE_HOME": "relative", "HOME": "/me"}, None, "/me/.local/state/meshctl"),
        (None, {"HOME": "/me"}, None, "/me/.local/state/meshctl"),
    ],
)
def test_which_home(
    tmp_path: Path, flag: str | None, environ: dict[str, str], config_at: str | None, expected: str
) -> None:
    """The flag wins over the environment, that over the nearest mesh.toml, and that over the user's state directory."""
    start = tmp_path / "a" / "b"
    start.mkdir(parents=True)
    if config_at is not None:
        (tmp_path / config_at / "mesh.toml").touch()
    assert which_home(flag, start=start, environ=environ) == Path(expected.format(tmp_path))


def test_a_relative_flag_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home named relative to the working directory stays the same one when that changes."""
    monkeypatch.chdir(tmp_path)
    assert which_home("here/../there") == tmp_path / "there"


@pytest.mark.usefixtures("no_umask")
def test_born_private(tmp_path: Path) -> None:
    """A new home and all directories in it are the owner's alone, whatever the umask; nobody else can put something in
    its place in folders that were made for it."""
    home = open_home(tmp_path / "deep" / "er" / "home")
    assert [_mode(path) for path in (tmp_path / "deep", tmp_path / "deep" / "er")] == [0o755] * 2
    assert [_mode(path) for path in (home.path, home.logs, home.run)] == [0o700] * 3
    assert open_home(home.path, create=False) == home


def test_a_home_in_a_checkout_ignores_itself(tmp_path: Path) -> None:
    """A home beside a mesh.toml is not committed by accident; a home elsewhere needs no such file."""
    inside = open_home(tmp_path / ".meshctl")
    assert (inside.path / ".gitignore").read_text() == "*\n"
    assert not (open_home(tmp_path / "else").path / ".gitignore").exists()
    (inside.path / ".gitignore").write_text("mine")
    open_home(inside.path)
    assert (inside.path / ".gitignore").read_text() == "mine"


def test_missing(tmp_path: Path) -> None:
    """A home that must not be made is reported missing, and is not made."""
    with pytest.raises(MeshError, match="no mesh home") as caught:
        open_home(tmp_path / "home", create=False)
    assert (caught.value.code, list(tmp_path.iterdir())) == ("not_found", [])


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o710, 0o701])
@pytest.mark.usefixtures("no_umask")
def test_open_to_others(tmp_path: Path, mode: int) -> None:
    """A home that others may enter or read is refused with the command that mends it, and is left as it is."""
    path = tmp_path / "home"
    path.mkdir(mode=mode)
    with pytest.raises(MeshError, match="open to other users") as caught:
        open_home(path)
    assert (caught.value.code, f"chmod 700 {path}" in caught.value.hint) == ("home_unusable", True)
    assert (_mode(path), list(path.iterdir())) == (mode, [])


@pytest.mark.parametrize("below", ["", "below/it"])
def test_a_file(tmp_path: Path, below: str) -> None:
    """A home that is a file, or would lie in one, is refused."""
    (tmp_path / "home").write_text("precious")
    with pytest.raises(MeshError, match="not a directory") as caught:
        open_home(tmp_path / "home" / below)
    assert (caught.value.code, (tmp_path / "home").read_text()) == ("home_unusable", "precious")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_somebody_elses(tmp_path: Path) -> None:
    """A home that belongs to another user is refused, to root as well."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(MeshError, match="belongs to user 65534") as caught:
        open_home(path)
    assert caught.value.code == "home_unusable"


def test_not_writable(disk: Disk) -> None:
    """A home on a read-only file system is refused, whether it is there or not, and the message names it."""
    disk.make_read_only()
    for path in (disk.path, disk.path / "new"):
        with pytest.raises(MeshError, match=str(path)) as caught:
            open_home(path)
        assert caught.value.code == "home_unusable"


def test_full(disk: Disk) -> None:
    """On a full disk a file is not half written: the error says so, the old content stays and no leftovers do."""
    write_private(disk.path / "kept", b"old")
    disk.fill()
    before = sorted(disk.path.iterdir())
    with pytest.raises(MeshError) as caught:
        write_private(disk.path / "kept", b"x" * 10_000)
    assert (caught.value.code, caught.value.exit_status) == ("store_full", 1)
    assert ((disk.path / "kept").read_bytes(), sorted(disk.path.iterdir())) == (b"old", before)


def test_no_room_for_a_home(disk: Disk) -> None:
    """A home that cannot be made because the disk is full says that, not that it is missing."""
    disk.fill()
    with pytest.raises(MeshError, match="no space left") as caught:
        write_private(open_home(disk.path / "home").path / "file", b"x" * 10_000)
    assert caught.value.code == "store_full"


@pytest.mark.parametrize("depth", [0, 200])
def test_sockets_fit(tmp_path: Path, depth: int) -> None:
    """A socket with the longest name can be bound in every home, however long the home's path."""
    home = open_home(tmp_path / ("d" * depth or "short"))
    path = home.socket("s" * LONGEST_SOCKET_NAME)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    assert (path.parent, _mode(home.run)) == (home.run, 0o700)


def test_socket_directories_are_apart(tmp_path: Path) -> None:
    """Two homes with long paths do not share a socket directory, and each finds its own again."""
    first, second = Home(tmp_path / ("a" * 120)), Home(tmp_path / ("b" * 120))
    assert first.run != second.run
    assert first.run == Home(first.path).run


@pytest.mark.parametrize("name", ["", "a/b", "../up", "s" * (LONGEST_SOCKET_NAME + 1)])
def test_bad_socket_names(home: Home, name: str) -> None:
    """A socket name that is too long or leaves the directory is the caller's mistake."""
    with pytest.raises(ValueError, match="socket name"):
        home.socket(name)


@pytest.mark.usefixtures("no_umask")
def test_a_trap_in_tmp(tmp_path: Path) -> None:
    """A socket directory outside the home that others can enter is refused: somebody else may have put it there."""
    path = tmp_path / ("d" * 120)
    trap = Home(path).run
    trap.mkdir(mode=0o777)
    with pytest.raises(MeshError, match="open to other users") as caught:
        open_home(path)
    trap.rmdir()
    assert caught.value.code == "home_unusable"


@pytest.mark.parametrize("is_made", [True, False])
def test_a_link_in_tmp(tmp_path: Path, is_made: bool) -> None:
    """A link in the place of the socket directory is refused, also where it leads to a private folder of this user's:
    whoever made it would choose where sockets are bound and looked for. So it is by commands that only read."""
    path = tmp_path / ("d" * 120)
    if is_made:
        open_home(path).run.rmdir()
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    trap = Home(path).run
    trap.symlink_to(mine)
    with pytest.raises(MeshError, match="is not a directory") as caught:
        open_home(path, create=not is_made)
    trap.unlink()
    assert (caught.value.code, list(mine.iterdir())) == ("home_unusable", [])


def test_without_a_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XDG_RUNTIME_DIR the sockets of a long home go to a directory under /tmp that names the user."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    run = Home(tmp_path / ("d" * 120)).run
    assert (run.parent, run.name.startswith(f"meshctl-{os.geteuid()}-")) == (Path("/tmp"), True)


@pytest.mark.usefixtures("no_umask")
def test_files_are_born_private(tmp_path: Path) -> None:
    """A file is the owner's alone whatever the umask, and also where it replaces one that was not."""
    path = tmp_path / "key"
    path.touch(mode=0o666)
    write_private(path, b"secret")
    assert (_mode(path), path.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (0o600, b"secret", ["key"])


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """Whoever reads a file while it is replaced sees one content or the other, never a part or a mixture."""
    path, contents = tmp_path / "file", [b"a" * 100_000, b"b" * 200_000]
    write_private(path, contents[0])
    done = threading.Event()

    def replace() -> None:
        for turn in range(60):
            write_private(path, contents[turn % 2])
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)


def test_unwritable_file(tmp_path: Path) -> None:
    """A file that cannot be written is an error that names it, and no leftovers stay."""
    target = tmp_path / "directory"
    (target / "full").mkdir(parents=True)
    with pytest.raises(MeshError, match=str(target)) as caught:
        write_private(target, b"x")
    assert (caught.value.code, [path.name for path in tmp_path.iterdir()]) == ("home_unusable", ["directory"])
    with pytest.raises(MeshError, match="no such file"):
        write_private(tmp_path / "missing" / "file", b"x")
