"""`meshctl doctor` as people and programs use it: groups, forms of output, exit statuses, and what it leaves alone."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from meshctl.control.checks.finding import Result
from meshctl.control.checks.table import CHECKS, GROUPS
from meshctl.store.home import open_home, write_private

from .conftest import Meshctl, command

# Whether they warn is for the machine to say.
OF_THE_MACHINE = ("environment", "clock", "limits", "kernel")


def test_where_nothing_ever_ran(meshctl: Meshctl, folder: Path) -> None:
    """In an empty folder every check is made, none of the mesh's own fails, and nothing is created."""
    ended = meshctl("doctor", "-o", "json")
    found = json.loads(ended.out)
    assert [(each["group"], each["name"]) for each in found] == [(check.group, check.name) for check in CHECKS]
    assert {each["status"] for each in found if each["group"] not in OF_THE_MACHINE} == {"pass"}
    assert list(folder.iterdir()) == []


def test_the_list(meshctl: Meshctl) -> None:
    """Piped, it is a list by groups in plain text, and the count goes to stderr; what many say alike is one line."""
    ended = meshctl("doctor", "-g", "store", "-g", "configuration")
    assert ended.status == 0
    assert ended.out.startswith("store\n  pass  ")
    assert "\n\nconfiguration\n" in ended.out
    assert re.search(r"pass  \d+ checks +nothing was ever stored here \(opens, private, ", ended.out)
    assert "write one with: meshctl init" in ended.out
    assert "\x1b" not in ended.out
    assert re.fullmatch(r"\d+ pass, 0 warn, 0 fail\n", ended.err)


@pytest.mark.parametrize("group", GROUPS)
def test_each_group(group: str, meshctl: Meshctl) -> None:
    """`--group` asks the checks of that group and no others."""
    found = json.loads(meshctl("doctor", "-o", "json", "--group", group).out)
    assert {each["group"] for each in found} == {group}


def test_an_unknown_group(meshctl: Meshctl) -> None:
    """A group that is not there is a usage error that names those there are."""
    ended = meshctl("doctor", "-g", "nonsense")
    assert ended.status == 2
    assert all(group in ended.err for group in GROUPS)


def broken_file(folder: Path) -> None:
    (folder / "mesh.toml").write_text("[mesh\n")


def binary_file(folder: Path) -> None:
    (folder / "mesh.toml").write_bytes(b"\xff\xfe\x00")


def home_is_a_file(folder: Path) -> None:
    (folder / ".meshctl").write_text("x")
    (folder / "mesh.toml").write_text("")


def home_is_a_loop(folder: Path) -> None:
    (folder / ".meshctl").symlink_to(folder / ".meshctl")
    (folder / "mesh.toml").write_text("")


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (broken_file, {("configuration", "valid")}),
        (binary_file, {("configuration", "valid")}),
        (home_is_a_file, {("home", "directory")}),
        (home_is_a_loop, {("home", "directory")}),
    ],
)
def test_broken_surroundings(
    spoil: Callable[[Path], None], names: set[tuple[str, str]], meshctl: Meshctl, folder: Path
) -> None:
    """A file that does not decode or a home that is none is named as what it is, and ends with 1, never a traceback."""
    spoil(folder)
    ended = meshctl("doctor", "-o", "json")
    failed = {(each["group"], each["name"]): each for each in json.loads(ended.out) if each["status"] == "fail"}
    assert ended.status == 1
    assert names <= failed.keys()
    assert not [each for each in failed.values() if "unexpected" in each["detail"]]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="setpriv is not installed")
def test_what_may_not_be_read(folder: Path) -> None:
    """A home and a file that this user may not read are looked at all the same, however they are named, and the report
    says what is wrong with them."""
    home, file = folder / "home", folder / "mesh.toml"
    home.mkdir(mode=0)
    file.touch(mode=0)
    # Root may look everywhere, unless it gives that up.
    less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    words = [*less, *command("doctor", "-o", "json", "--home", home, "-c", file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110)
    found = {(each["group"], each["name"]): each for each in json.loads(done.stdout)}
    assert (done.returncode, found["home", "writable"]["status"]) == (1, "fail")
    assert "permission denied" in found["configuration", "valid"]["detail"]
    done = subprocess.run([*less, *command("validate", file)], capture_output=True, text=True, timeout=110)
    assert (done.returncode, f"{file}: permission denied" in done.stderr) == (3, True)


def test_variables_of_a_dead_sidecar(meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell whose proxy variables lead to a sidecar that has ended is told so, with the command that mends it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    found = {each["name"]: each for each in json.loads(meshctl("doctor", "-o", "json", "-g", "environment").out)}
    assert found["http proxy"]["status"] == "fail"
    assert found["http proxy"]["hint"] == "unset http_proxy HTTP_PROXY"


@pytest.mark.parametrize("damaged", [None, b"no database"])
def test_a_bundle_without_a_mesh(damaged: bytes | None, meshctl: Meshctl, folder: Path) -> None:
    """Where nothing ever ran, or the store is damaged, the archive still has what can be had, and why the rest is not
    in it; it is not written where it cannot be."""
    if damaged is not None:
        write_private(open_home(folder / "home").database, damaged)
    ended = meshctl("--home", folder / "home", "doctor", "--bundle", "report.tar.gz")
    assert (ended.status, ended.out) == (int(damaged is not None), "")
    with tarfile.open(folder / "report.tar.gz") as archive:
        parts = {each.name.rpartition("/")[2]: archive.extractfile(each) for each in archive.getmembers()}
        found = {name: json.loads(part.read()) for name, part in parts.items() if part is not None}
    assert len(found["doctor.json"]) == len(CHECKS)
    assert "missing" in found["configuration.json"]
    assert "missing" in found["status.json"]
    ended = meshctl("doctor", "--bundle", "nowhere/report.tar.gz")
    assert (ended.status, "is not a directory" in ended.err) == (1, True)


def test_on_a_terminal(folder: Path) -> None:
    """On a terminal states are coloured and long lines fold within its width."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    words = command("--quiet", "doctor", "-g", "environment")
    with subprocess.Popen(words, stdout=theirs, env=environ | {"TERM": "xterm-256color", "COLUMNS": "60"}) as process:
        os.close(theirs)
        said = b""
        while piece := read(ours):
            said += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[32mpass" in said.replace(b"  pass", b"pass") or b"\x1b[32m  pass" in said
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).splitlines()
    assert lines[0].strip() == "environment"
    assert max(map(len, lines)) <= 60


def read(descriptor: int) -> bytes:
    """The next bytes of a terminal; none when its other side is closed (EIO on Linux)."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_the_keys_are_stable() -> None:
    """Programs find group, name, status, detail and hint, and nothing else."""
    assert Result.__struct_fields__ == ("group", "name", "status", "detail", "hint")
