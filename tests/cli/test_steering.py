"""`meshctl traffic fault` and `mirror` where nothing runs: what they set, say and refuse."""

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
[services.orders.versions.v2]
endpoints = ["127.0.0.1:9002"]
weight = 0
[services.web]
endpoints = ["127.0.0.1:9003"]
[services.db]
protocol = "tcp"
endpoints = ["127.0.0.1:9004"]
"""


@pytest.fixture(autouse=True)
def _applied(folder: Path, meshctl: Meshctl) -> None:
    (folder / "mesh.toml").write_text(MESH)
    ended = meshctl("apply")
    assert ended.status == 0, ended.err


def rows(out: str) -> list[list[str]]:
    """A table's lines, but for who and when."""
    return [line.split() for line in out.splitlines()]


def test_fault(meshctl: Meshctl) -> None:
    """It says what it has set and until when; without options it shows that, of one service or of all."""
    ended = meshctl("traffic", "fault", "orders", "--delay", "300ms@20%", "--abort", "503", "--for", "2h")
    assert ended.status == 0, ended.err
    assert "the next one starts with this fault" in ended.err
    assert rows(ended.out)[1][:6] == ["orders", "all", "delay", "300ms@20%,", "abort", "503"]
    meshctl("traffic", "fault", "db", "--reset", "1%", "--from", "web")
    (orders,) = json.loads(meshctl("traffic", "fault", "orders", "-o", "json").out)
    assert (orders["caller"], orders["faults"], 7000 < orders["left"] <= 7200) == (
        "",
        "delay 300ms@20%, abort 503",
        True,
    )
    assert [line[:2] for line in rows(meshctl("traffic", "fault").out)[1:]] == [["db", "web"], ["orders", "all"]]
    assert "no faults are injected" in meshctl("traffic", "fault", "web").err


def test_fault_in_the_place_of_another(meshctl: Meshctl) -> None:
    """What is given takes the place of what the same callers had, and of nothing else."""
    meshctl("traffic", "fault", "orders", "--delay", "1s")
    meshctl("traffic", "fault", "orders", "--reset", "1%", "--from", "gateway")
    meshctl("traffic", "fault", "orders", "--abort", "503")
    found = json.loads(meshctl("traffic", "fault", "-o", "json").out)
    assert [(each["caller"], each["faults"]) for each in found] == [("", "abort 503"), ("gateway", "reset 1%")]


def test_fault_cleared(meshctl: Meshctl) -> None:
    """Those for one caller are cleared, or all of a service, again and again, also of one that was removed since."""
    for caller in ("gateway", "web", ""):
        meshctl("traffic", "fault", "orders", "--reset", "1%", *(["--from", caller] if caller else []))
    ended = meshctl("traffic", "fault", "orders", "--clear", "--from", "web", "-o", "json")
    assert (ended.status, [each["caller"] for each in json.loads(ended.out)["cleared"]]) == (0, ["web"])
    assert len(json.loads(meshctl("traffic", "fault", "-o", "json").out)) == 2
    assert meshctl("traffic", "fault", "orders", "--clear").status == 0
    ended = meshctl("traffic", "fault", "orders", "--clear")
    assert (ended.status, '"orders" has no faults' in ended.err) == (0, True)
    meshctl("traffic", "fault", "web", "--reset", "1%")
    Path("mesh.toml").write_text(MESH.replace("[services.web]", "[services.front]"))
    assert meshctl("apply").status == 0
    assert meshctl("traffic", "fault", "web", "--clear").status == 0
    assert json.loads(meshctl("traffic", "fault", "-o", "json").out) == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["fault", "orderz", "--reset", "1%"], 4, 'did you mean "orders"?'),
        (["fault", "orders", "--reset", "1%", "--from", "wep"], 4, 'there is no service "wep"'),
        (["fault", "nothing", "--clear"], 4, 'there is no service "nothing"'),
        (["fault", "orders", "--clear", "--from", "wep"], 4, 'there is no service "wep"'),
        (["fault", "nothing"], 4, 'there is no service "nothing"'),
        (["fault", "--reset", "1%"], 2, "which service?"),
        (["fault", "--clear"], 2, "which service?"),
        (["fault", "orders", "--for", "2m"], 2, "no fault is asked for"),
        (["fault", "orders", "--clear", "--reset", "1%"], 2, "--clear ends faults"),
        (["fault", "orders", "--delay", "soon"], 2, "write it as --delay 300ms@20%"),
        (["fault", "db", "--abort", "503"], 1, "speaks no HTTP"),
        (["mirror", "orders", "--to", "v3"], 4, "there are: v1, v2"),
        (["mirror", "orderz", "--to", "v2"], 4, 'did you mean "orders"?'),
        (["mirror", "db", "--to", "default"], 1, "speaks no HTTP"),
        (["mirror", "orders", "--diff"], 2, "name it with --to VERSION"),
        (["mirror", "--to", "v2"], 2, "which service?"),
        (["mirror", "orders", "--to", "v2", "--ignore", "$.a"], 2, "give --diff, too"),
        (["mirror", "orders", "--to", "v2", "--diff", "--ignore", "a"], 2, '--ignore "a": expected a JSONPath'),
        (["mirror", "orders", "--to", "v2", "--percent", "0"], 2, "would copy nothing"),
        (["mirror", "orders", "--to", "v2", "--percent", "101"], 2, "--percent"),
        (["mirror", "orders", "--to", "v2", "--diff", "--header", "a b"], 2, "is no name of a header"),
        (["mirror", "orders", "--to", "v2", "--stop"], 2, "--stop ends a mirror"),
        (["mirror", "orders", "--stop"], 4, '"orders" is not mirrored'),
    ],
)
def test_refused(meshctl: Meshctl, words: list[str], status: int, said: str) -> None:
    """What cannot be set is refused with what to do, and nothing is set."""
    ended = meshctl("traffic", *words)
    assert (ended.status, said in ended.err) == (status, True), ended.err
    assert json.loads(meshctl("traffic", "fault", "-o", "json").out) == []
    assert json.loads(meshctl("traffic", "mirror", "-o", "json").out) == []


def test_mirror_to_nobody(meshctl: Meshctl) -> None:
    """A mirror to a version without an endpoint is set, because one may come, and warned of."""
    Path("mesh.toml").write_text(MESH + "[services.orders.versions.v3]\nweight = 0\n")
    assert meshctl("apply").status == 0
    for version, is_warned in (("v3", True), ("v2", False)):
        ended = meshctl("traffic", "mirror", "orders", "--to", version)
        assert (ended.status, "no healthy endpoint" in ended.err) == (0, is_warned)


def test_mirror(meshctl: Meshctl) -> None:
    """It says what it has set, and shows it with nothing counted yet; one in its place is the only one; --stop ends
    it."""
    ended = meshctl("traffic", "mirror", "orders", "--to", "v2")
    assert (ended.status, rows(ended.out)) == (0, [["service", "orders"], ["mirror", "10%", "to", "v2"]])
    words = ("--percent", "50", "--diff", "--ignore", "$..at", "--header", "X-Kind", "--all-methods")
    assert meshctl("traffic", "mirror", "orders", "--to", "v1", *words).status == 0
    (view,) = json.loads(meshctl("traffic", "mirror", "-o", "json").out)
    mirror = view["mirror"]
    assert [mirror[name] for name in ("to", "share", "diff", "ignore", "headers", "all_methods")] == [
        "v1", 0.5, True, ["$..at"], ["x-kind"], True,
    ]  # fmt: skip
    assert (view["tally"]["copied"], view["mismatch_rate"], view["proxies"]) == (0, None, [])
    assert meshctl("traffic", "mirror", "orders", "--stop").status == 0
    assert "nothing is mirrored" in meshctl("traffic", "mirror").err


def test_split_shows_both(meshctl: Meshctl) -> None:
    """`traffic split` shows a service's faults and mirror, and an apply keeps them."""
    meshctl("traffic", "fault", "orders", "--abort", "503@5%", "--for", "1d")
    meshctl("traffic", "mirror", "orders", "--to", "v2", "--diff")
    Path("mesh.toml").write_text(MESH.replace("9003", "9005"))
    assert meshctl("apply").status == 0
    out = meshctl("traffic", "split", "orders").out
    assert "fault    abort 503@5%, ends in 23h59m" in out or "fault    abort 503@5%, ends in 1d" in out
    assert "mirror   10% to v2, compared" in out
    document = json.loads(meshctl("traffic", "split", "orders", "-o", "json").out)
    assert (len(document["faults"]), document["mirror"]["to"]) == (1, "v2")
    assert "abort" not in meshctl("traffic", "split", "web").out
