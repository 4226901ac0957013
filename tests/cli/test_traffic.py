"""`meshctl traffic` where nothing runs: what it says and refuses, and what the next proxy will start with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Meshctl

MESH = """
[[routes]]
service = "orders"
[services.orders.versions.v1]
endpoints = ["127.0.0.1:9001"]
weight = 3
[services.orders.versions.v2]
endpoints = ["127.0.0.1:9002"]
weight = 1
[services.orders.versions.v3]
weight = 0
"""


@pytest.fixture
def applied(folder: Path, meshctl: Meshctl) -> Path:
    """A mesh with three versions, the third without endpoints, applied."""
    path = folder / "mesh.toml"
    path.write_text(MESH)
    ended = meshctl("apply")
    assert ended.status == 0, ended.err
    return path


def live(meshctl: Meshctl) -> dict[str, float]:
    """The live weights that `split` tells."""
    document = json.loads(meshctl("traffic", "split", "orders", "-o", "json").out)
    return {each["version"]: each["live"] for each in document["versions"]}


def test_split(meshctl: Meshctl, applied: Path) -> None:
    """It shows the file's weights in percent, that nobody changed them, and that nothing runs."""
    ended = meshctl("traffic", "split", "orders")
    assert ended.status == 0
    assert [line.split() for line in ended.out.splitlines()] == [
        ["service", "orders"],
        ["weights", "the", "file's"],
        [],
        ["VERSION", "FILE", "LIVE", "LAST", "MINUTE", "REQUESTS", "ERRORS", "P50", "P99", "HEALTHY"],
        ["v1", "75%", "75%", "–", "0", "–", "–", "–", "?/1"],
        ["v2", "25%", "25%", "–", "0", "–", "–", "–", "?/1"],
        ["v3", "0%", "0%", "–", "0", "–", "–", "–", "?/0"],
    ]
    assert "nothing runs" in ended.err


def test_shift(meshctl: Meshctl, applied: Path) -> None:
    """It shows the weights before and after, leaves the rest to the others in their proportions, and `split` tells who
    did it; the file is as it was."""
    meshctl("traffic", "shift", "orders", "v1=50", "v2=50")
    ended = meshctl("traffic", "shift", "orders", "v2=10%")
    assert ended.status == 0, ended.err
    assert [line.split() for line in ended.out.splitlines()] == [
        ["VERSION", "BEFORE", "AFTER"],
        ["v1", "50%", "90%"],
        ["v2", "50%", "10%"],
        ["v3", "0%", "0%"],
    ]
    assert "the next one starts with these weights" in ended.err
    shown = meshctl("traffic", "split", "orders").out
    assert "live, in the place of the file's" in shown
    assert "shift v2=10, by " in shown
    assert ["v1", "75%", "90%"] in [line.split()[:3] for line in shown.splitlines()]
    assert applied.read_text() == MESH


def test_shift_document(meshctl: Meshctl, applied: Path) -> None:
    """As JSON it is one document: weights before and after, and the store revision they hold from."""
    document = json.loads(meshctl("traffic", "shift", "orders", "v2=10", "-o", "json").out)
    assert document.pop("revision") > 1
    assert document == {
        "service": "orders",
        "before": {"v1": 75, "v2": 25, "v3": 0},
        "after": {"v1": 90, "v2": 10, "v3": 0},
        "unchanged": False,
        "proxies": [],
    }


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("shift", "orders", "v9=10"), 4, ['no version "v9"', "v1, v2, v3"]),
        (("shift", "orders", "v20=10"), 4, ['did you mean "v2"?']),
        (("shift", "order", "v2=10"), 4, ['no service "order"', 'did you mean "orders"?']),
        (("shift", "orders", "v2"), 2, ['"v2" is not a weight']),
        (("shift", "orders"), 2, ["missing argument"]),
        (("shift", "orders", "v2=60", "v1=60"), 2, ["120"]),
        (("shift", "orders", "v1=0", "v2=0", "v3=0"), 2, ["all weights are 0"]),
        (("shift", "orders", "v3=10"), 1, ['version "v3" of "orders" has no healthy endpoint', "--force"]),
        (("promote", "orders", "v3"), 1, ["no healthy endpoint"]),
        (("promote", "orders", "v9"), 4, ['no version "v9"']),
        (("rollback", "orders"), 4, ["no weights to go back to"]),
        (("split", "nothing"), 4, ['no service "nothing"']),
        (("history", "nothing"), 4, ['no service "nothing"']),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_refused(meshctl: Meshctl, applied: Path, arguments: tuple[str, ...], status: int, words: list[str]) -> None:
    """What cannot be is refused with what is wrong and what to do, and changes nothing."""
    ended = meshctl("traffic", *arguments)
    assert (ended.status, [word for word in words if word not in ended.err]) == (status, []), ended.err
    assert live(meshctl) == {"v1": 75, "v2": 25, "v3": 0}


def test_force(meshctl: Meshctl, applied: Path) -> None:
    """What has no endpoint takes traffic where somebody insists; taking it back needs no insisting."""
    assert meshctl("traffic", "shift", "orders", "v3=10", "--force").status == 0
    assert live(meshctl)["v3"] == 10
    assert meshctl("traffic", "rollback", "orders").status == 0
    assert live(meshctl)["v3"] == 0


def test_promote_and_back(meshctl: Meshctl, applied: Path) -> None:
    """Everything to one version; rollback goes back again and again, reset to the file; history tells it all."""
    for arguments in (("promote", "v2"), ("shift", "v1=20"), ("rollback",), ("rollback",), ("promote", "v1")):
        ended = meshctl("traffic", arguments[0], "orders", *arguments[1:])
        assert ended.status == 0, ended.err
    assert live(meshctl) == {"v1": 100, "v2": 0, "v3": 0}
    assert meshctl("traffic", "reset", "orders").status == 0
    assert live(meshctl) == {"v1": 75, "v2": 25, "v3": 0}
    assert "these weights hold already" in meshctl("traffic", "reset", "orders").err
    document = json.loads(meshctl("traffic", "history", "orders", "-o", "json").out)
    assert [(each["what"], each["after"]["v2"]) for each in document] == [
        ("reset", 25),
        ("promote v1", 0),
        ("rollback of promote v2", 25),
        ("rollback of shift v1=20", 100),
        ("shift v1=20", 80),
        ("promote v2", 100),
    ]
    (line,) = meshctl("traffic", "history", "orders", "-n", "1").out.splitlines()[1:]
    assert line.endswith("v1 100%  v1 75% v2 25%")


def test_apply_keeps_live_weights(meshctl: Meshctl, applied: Path) -> None:
    """An apply leaves them; `split` shows them beside what the file now says."""
    meshctl("traffic", "shift", "orders", "v2=10")
    applied.write_text(MESH.replace("weight = 3", "weight = 1"))
    meshctl("apply")
    document = json.loads(meshctl("traffic", "split", "orders", "-o", "json").out)
    assert [(each["file"], each["live"]) for each in document["versions"]] == [(50, 90), (50, 10), (0, 0)]
    assert (document["is_live"], document["changed"]["what"]) == (True, "shift v2=10")


@pytest.mark.parametrize(
    ("old", "new", "is_told"),
    [
        ("weight = 3", "weight = 1", True),
        ("[services.orders.versions.v3]\nweight = 0", "", True),
        ('service = "orders"', 'service = "orders"\ntimeout = "1s"', False),
        ("127.0.0.1:9001", "127.0.0.1:9003", False),
    ],
)
def test_apply_tells_that_live_weights_hold(meshctl: Meshctl, applied: Path, old: str, new: str, is_told: bool) -> None:
    """An apply, and a rollback, say so where they change weights that live ones take the place of, and only there."""
    meshctl("traffic", "shift", "orders", "v2=10")
    applied.write_text(MESH.replace(old, new))
    for command in (("apply",), ("config", "rollback")):
        ended = meshctl(*command)
        assert (ended.status, "meshctl traffic reset orders" in ended.err) == (0, is_told)
    meshctl("traffic", "reset", "orders")
    assert "traffic reset" not in meshctl("apply").err
