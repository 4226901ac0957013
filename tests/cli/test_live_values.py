"""Completion with what the mesh knows: the right names, from the store or the file, without a trace and in no time."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from math import inf
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from meshctl import clock
from meshctl.cli.app import build, run
from meshctl.cli.completion_scripts import script
from meshctl.cli.live_values import KINDS, Names, fitting
from meshctl.control.acks import register
from meshctl.control.discovery import announce
from meshctl.control.issued import ISSUED
from meshctl.model.registration import Registration
from meshctl.model.views import ProxyRecord
from meshctl.store.protocol import Put
from meshctl.store.sqlite import SqliteStore

from .conftest import Meshctl, command

ROOT = build()
PATIENCE = 45.0
MESH = """
    [[routes]]
    name = "all"
    service = "orders"
    [[routes]]
    name = "v1/orders"
    path = "/v1"
    service = "orders"
    [services.orders.versions.v1]
    endpoints = ["127.0.0.1:9001"]
    [services.orders.versions.v2]
    endpoints = ["127.0.0.1:9002"]
    weight = 0
    [[routes]]
    name = "shop"
    path = "/shop"
    api = "shop"
    service = "web"
    [api.shop.versions.2023-01]
    deprecated = 2024-06-01
    [api.shop.versions.2024-06]
    [services.web]
    endpoints = ["127.0.0.1:9003"]
"""


def complete(*words: str, **environment: str) -> list[str]:
    """What `meshctl __complete` offers; it says nothing else and ends with 0."""
    asked = command("__complete", *words)
    deadline = monotonic() + PATIENCE
    while True:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
        # A machine that is too busy for it gets another chance.
        if done.returncode != -signal.SIGALRM or monotonic() > deadline:
            break
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an applied mesh with a gateway, a wrapped app and certificates."""
    file, home = tmp_path_factory.mktemp("made") / "mesh.toml", tmp_path_factory.mktemp("homes") / "home"
    file.write_text(MESH)
    for words in (["apply", "-c", str(file)], ["certs", "issue", "localhost", "--out", str(file.parent)]):
        assert run(["--home", str(home), "-q", *words]) == 0
    with closing(SqliteStore(home / "mesh.db")) as store:
        lease = store.grant(600.0)
        register(store, ProxyRecord("gateway", "gateway", os.getpid(), 0.0, "", service="gateway"), lease)
        register(store, ProxyRecord("db-v7-1a", "sidecar", os.getpid(), 0.0, "", service="db"), lease)
        announce(store, Registration("db", "v7", "127.0.0.1", 1, "db-v7-1a", os.getpid(), "", 0.0), lease)
        issued = {"serial": "ab", "subject": "db", "service": "db", "not_after": 2e9}
        store.transact([Put(ISSUED + "ab", msgspec.json.encode(issued))])
        with closing(SqliteStore(home / "mesh.db", now=lambda: clock.monotonic() - 9.0)) as past:
            gone = ProxyRecord("gone", "sidecar", 1, 0.0, "")
            past.transact([Put("proxies/gone", msgspec.json.encode(gone), past.grant(5.0))])
    return home


@pytest.fixture
def mesh(folder: Path, made: Path) -> Path:
    """The home of such a mesh, which is that of the working directory."""
    (folder / "mesh.toml").write_text(MESH)
    return shutil.copytree(made, folder / ".meshctl")


def test_what_registered_is_read_once() -> None:
    """However many services there are, the store is asked for each kind of thing once."""
    asked: list[str] = []

    def listed(prefix: str) -> dict[str, bytes]:
        asked.append(prefix)
        names = [f"s{number}" for number in range(50)] if prefix == "endpoints/" else []
        return {name: msgspec.json.encode({"service": name, "version": "v1"}) for name in names}

    found = fitting(Names(listed, None), ["targets"], [])
    assert {"s0", "s49/v1"} <= set(found)
    assert sorted(asked) == sorted(set(asked))


def test_names_of_a_mesh(mesh: Path) -> None:
    """Each kind of name is read from the store: what is configured, what registered, who runs, who has a certificate.
    What a lease that ended has left is not there."""
    expected = {
        "services": ["orders", "web", "db"],
        "versions traffic promote orders": ["v1", "v2"],
        "versions traffic mirror db --to": ["v7"],
        "versions": ["v1", "v2", "default", "v7"],
        "rivals traffic rollout orders --compare-to": ["baseline", "v1", "v2"],
        "services,shares traffic shift": ["orders", "web", "db"],
        "services,shares traffic shift orders": ["v1=", "v2="],
        "services,shares traffic shift orders v2=10": ["v1="],
        "routes": ["all", "v1/orders", "shop.2023-01", "shop.2024-06", "shop.unknown", "shop.missing"],
        "apis": ["shop"],
        "apis,api_versions api callers shop": ["2023-01", "2024-06"],
        "proxies": ["db-v7-1a", "gateway"],
        "sidecars": ["db-v7-1a", "db"],
        "sources logs gateway": ["db-v7-1a", "db"],
        "callers": ["gateway", "orders", "web", "db"],
        "targets": ["orders", "web", "db", "orders/v1", "orders/v2", "web/default", "db/v7"],
        "identities certs show localhost": ["db"],
        "revisions": ["1"],
        "keys": [],
    }
    assert {words.split()[0].rpartition(",")[2] for words in expected} == set(KINDS)
    assert expected == {words: complete(*words.split()) for words in expected}


def test_keys(folder: Path, meshctl: Meshctl) -> None:
    """API keys are offered by their ids, as long as they were not revoked."""
    (folder / "mesh.toml").write_text(MESH)
    for _ in range(2):
        assert meshctl("keys", "create", "--owner", "acme").status == 0
    ids = complete("keys")
    assert len(ids) == 2
    assert meshctl("keys", "revoke", ids[0]).status == 0
    assert complete("keys") == ids[1:]


def test_before_the_first_apply(folder: Path) -> None:
    """Where nothing was applied, the names are those of the nearest mesh.toml, or of that which -c names; nothing is
    made by looking."""
    (folder / "mesh.toml").write_text(MESH)
    (folder / "other.toml").write_text("services.other.endpoints = ['127.0.0.1:1']")
    assert complete("services", "up") == ["orders", "web"]
    assert complete("versions", "traffic", "promote", "orders") == ["v1", "v2"]
    assert complete("routes") == ["all", "v1/orders", "shop"]
    assert complete("apis,api_versions", "api", "callers", "shop") == ["2023-01", "2024-06"]
    assert complete("services", "up", "-c", "other.toml") == ["other"]
    assert complete("services", "up", "--config=other.toml") == ["other"]
    assert sorted(path.name for path in folder.iterdir()) == ["mesh.toml", "other.toml"]


def test_the_home_that_is_named(mesh: Path, folder: Path) -> None:
    """Names are those of the home that the words, or the environment, mean."""
    empty = str(folder / "none")
    assert complete("proxies", "--home", empty, "logs") == []
    assert complete("proxies", f"--home={empty}", "logs") == []
    assert complete("proxies", "logs", MESHCTL_HOME=empty) == []
    assert complete("proxies", "--home", str(mesh), "logs", MESHCTL_HOME=empty) == ["db-v7-1a", "gateway"]


@pytest.mark.parametrize("name", ["$(touch x)", "`touch x`", "a b", "a;b", "--version", "'", "*", "a\\nb"])
def test_names_that_are_more_than_names(name: str, folder: Path) -> None:
    """What a shell could take for a command, several words or an option is not offered, whatever a file says."""
    (folder / "mesh.toml").write_text(f'services."{name}".endpoints = []\nservices.fine.endpoints = []\n')
    assert complete("services") == ["fine"]


@pytest.mark.parametrize("content", [b"", b"not a store", b"SQLite format 3\0" + b"\0" * 4096])
def test_a_broken_store_is_no_trouble(content: bytes, folder: Path) -> None:
    """With a store that is none, a file that is none and kinds that are none, nothing is offered and nothing said."""
    home = folder / "home"
    home.mkdir()
    (home / "mesh.db").write_bytes(content)
    (folder / "mesh.toml").write_text("services = [")
    for words in (["services"], ["nonsense"], [""], []):
        assert complete(*words, MESHCTL_HOME=str(home)) == []
    assert [path.name for path in home.iterdir()] == ["mesh.db"]
    assert (home / "mesh.db").read_bytes() == content


def test_looking_leaves_no_trace(mesh: Path) -> None:
    """Neither the store nor what lies beside it is another after words were completed, whether somebody has it open or
    not."""

    def seen() -> dict[str, bytes]:
        # The -shm file is what readers count themselves in; it holds nothing that lasts.
        return {path.name: path.read_bytes() for path in mesh.glob("mesh.db*") if not path.name.endswith("-shm")}

    before = seen()
    assert complete("services")
    assert seen() == before


def test_a_locked_store_is_not_waited_for(mesh: Path) -> None:
    """While another process writes, names are there all the same."""
    import sqlite3

    with closing(sqlite3.connect(mesh / "mesh.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert complete("services") == ["orders", "web", "db"]
        writer.execute("ROLLBACK")


def test_nothing_is_waited_for(folder: Path) -> None:
    """Where a file does not give what is in it, completion ends by itself, without a word."""
    os.mkfifo(folder / "endless.toml")
    done = subprocess.run(
        command("__complete", "services", "up", "-c", "endless.toml"), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGALRM, b"", b"")


def test_costs_little_more_than_python(mesh: Path) -> None:
    """Completing a word takes at most 10 times the CPU time of `python -c pass`: the best of several runs of each."""

    def cost(arguments: list[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(arguments, check=False, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # One that ran out of time on a busy machine says nothing of what it costs.
        assert done.returncode in (0, -signal.SIGALRM)
        return inf if done.returncode else after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    asked = command("__complete", "services,versions", "traffic", "promote", "orders")
    rounds = [(cost([sys.executable, "-c", "pass"]), cost(asked)) for _ in range(7)]
    assert min(completed for _, completed in rounds) <= 10 * min(nothing for nothing, _ in rounds)


# in shells


def needs(shell: str) -> str:
    """The shell's path; skips the test where it is not installed."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def offered(asked: list[str], expected: list[str]) -> list[str]:
    """The lines that a shell prints, without a word beside them. One that was too busy to complete is asked again."""
    deadline = monotonic() + PATIENCE
    while True:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        if [line.partition("\t")[0] for line in lines] == expected or monotonic() > deadline:
            return lines


@pytest.fixture
def on_path(mesh: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `meshctl` on the path, in which a shell completes with the names of a mesh."""
    programs = folder / "bin"
    programs.mkdir()
    shim = programs / "meshctl"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m meshctl "$@"\n')
    subprocess.run(["chmod", "+x", shim], check=True)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["stat", ""], ["orders", "web", "db"]),
        (["services", "show", "o"], ["orders"]),
        (["traffic", "shift", "orders", "v"], ["v1=", "v2="]),
        (["traffic", "shift", "orders", "v2", "="], []),
        (["traffic", "shift", "orders", "v2", "=", "1"], []),
        (["traffic", "shift", "orders", "v2", "=", "1", ""], ["v1="]),
        (["tap", "--to", "orders/"], ["orders/v1", "orders/v2"]),
        (["--home", "none", "stat", ""], ["orders", "web"]),
        (["--home", "none", "logs", ""], []),
        (["stat", "--by", ""], ["service", "version", "route", "edge"]),
    ],
)
def test_bash_completes(typed: list[str], expected: list[str], on_path: Path) -> None:
    """In bash, TAB offers the names of the mesh where they belong."""
    words = " ".join(f"'{word}'" for word in ["meshctl", *typed])
    program = f"{script('bash', ROOT)}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _meshctl\n"
    show = '[ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
    assert offered([needs("bash"), "--norc", "-c", program + show], expected) == expected


@pytest.mark.parametrize(("typed", "goes_on"), [("o", False), ("orders v", True)])
def test_bash_ends_words(typed: str, goes_on: bool, on_path: Path) -> None:
    """In bash, a name is followed by a blank, and a version by its weight, also where either may stand."""
    words = f"meshctl traffic shift {typed}".split()
    tell = 'compopt() { [ "$*" != "-o nospace" ] || told=yes; }; told=no'
    program = f"{script('bash', ROOT)}\n{tell}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _meshctl\n"
    expected = [*(["v1=", "v2="] if goes_on else ["orders"]), "yes" if goes_on else "no"]
    show = 'printf "%s\\n" "${COMPREPLY[@]}" $told'
    assert offered([needs("bash"), "--norc", "-c", program + show], expected) == expected


def test_fish_completes(on_path: Path) -> None:
    """In fish, TAB offers the names of the mesh where they belong."""
    file = on_path / "meshctl.fish"
    file.write_text(script("fish", ROOT))
    asked = ("stat ", "traffic shift orders ", "limits ls --route v")
    program = f"source {file}; " + "; ".join(f"complete -C 'meshctl {typed}'; echo ==" for typed in asked)
    expected = ["db", "orders", "web", "==", "v1=", "v2=", "==", "v1/orders", "=="]
    found = offered([needs("fish"), "--no-config", "-c", program], expected)
    assert [line.partition("\t")[0] for line in found] == expected


def test_zsh_completes(on_path: Path) -> None:
    """In zsh at a terminal, TAB completes the name of a service, and then that of a version with its sign."""
    (on_path / "_meshctl").write_text(script("zsh", ROOT))
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [needs("zsh"), "-f", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "PS1": "> ", "LC_ALL": "C"},
        start_new_session=True,
    )
    os.close(theirs)

    def until(text: str) -> None:
        """Read what the terminal shows until this is in it."""
        shown, begun, tabs = "", monotonic(), 0
        while text not in shown:
            assert monotonic() < begun + 2 * PATIENCE, shown
            # A machine that was too busy to complete is asked again.
            if monotonic() > begun + 5 * (tabs + 1):
                tabs += os.write(ours, b"\t")
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 4096).decode(errors="replace").replace("\x07", "")

    try:
        os.write(ours, b"fpath=($PWD $fpath); autoload -Uz compinit; compinit -D -u; unsetopt zle_bracketed_paste\n")
        os.write(ours, b"print REA''DY\n")
        until("READY")
        os.write(ours, b"meshctl traffic promote o\t")
        until("orders ")
        os.write(ours, b"v2\t\x15meshctl traffic shift orders v1\t")
        until("v1=")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
