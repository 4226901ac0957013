"""Which version of an API do media types ask for?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.api_version import UNKNOWN, asked, form, ranges
from meshctl.core.route_table import RouteTable
from meshctl.model.api import ApiMatch
from meshctl.model.route import Match

from .request import Request

VENDOR = "application/vnd.shop.{version}+json"
PARAMETER = "application/json; version={version}"
KNOWN = ("v1", "V2", "2026-01-01")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", None),
        ("*/*", None),
        ("application/json, text/html;q=0.9", None),
        ("application/vnd.shop.v1+json", "v1"),
        ("APPLICATION/VND.SHOP.V1+JSON", "v1"),
        ("application/vnd.shop.v2+json", "V2"),
        ("application/vnd.shop.2026-01-01+json", "2026-01-01"),
        (" application/vnd.shop.v1+json ; charset=utf-8 ", "v1"),
        # The one it likes best, of those alike the first.
        ("application/vnd.shop.v1+json;q=0.5, application/vnd.shop.v2+json;q=0.6", "V2"),
        ("application/vnd.shop.v1+json, application/vnd.shop.v2+json", "v1"),
        ("application/vnd.shop.v1+json;q=0.001, */*", "v1"),
        # One there is rather than one there is not, whatever it likes better.
        ("application/vnd.shop.v9+json, application/vnd.shop.v1+json;q=0.1", "v1"),
        ("application/vnd.shop.v9+json", UNKNOWN),
        ("application/vnd.shop.v9+json, application/vnd.shop.v8+json", UNKNOWN),
        # Else anything it takes.
        ("application/vnd.shop.v9+json, */*;q=0.1", None),
        ("application/vnd.shop.v9+json, */*;q=0", UNKNOWN),
        # What it does not want it does not ask for.
        ("application/vnd.shop.v1+json;q=0", None),
        ("application/vnd.shop.v1+json;q=0, application/vnd.shop.v2+json;q=0.1", "V2"),
        ("application/vnd.shop.v1+json;q=high, application/vnd.shop.v2+json", "V2"),
        ("application/vnd.shop.v1+json;q=nan", None),
        ("application/vnd.shop.v1+json;q=2, application/vnd.shop.v2+json", "V2"),
        # Nothing that only looks so.
        ("application/vnd.shop.+json", None),
        ("application/vnd.shop.v1+xml", None),
        ("xapplication/vnd.shop.v1+json", None),
        ("application/vnd.shop.v1+json/x", None),
        ('text/plain;a="application/vnd.shop.v1+json, x"', None),
        ('text/plain;a="\\", application/vnd.shop.v1+json"', None),
        (",,;q=1,application/vnd.shop.v1+json,", "v1"),
    ],
)
def test_accept(accept: str, expected: str | None) -> None:
    """An Accept field asks for that version, for none, or for one that there is not."""
    assert asked(VENDOR, KNOWN)(f"{accept}\n") == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("application/json;version=v1\n", "v1"),
        ('application/json;charset=utf-8;VERSION="v1"\n', "v1"),
        ("application/json;version=v1;version=v2\n", "v1"),
        ("application/json;version=v9\n", UNKNOWN),
        ("application/xml;version=v1\n", None),
        ("application/json\n", None),
        # What is sent counts where nothing is asked for.
        ("*/*\napplication/json;version=v1", "v1"),
        ("\napplication/json;version=v9", UNKNOWN),
        ("application/json;version=v2\napplication/json;version=v1", "V2"),
        ("application/json;version=v9\napplication/json;version=v1", UNKNOWN),
        ("\napplication/json", None),
        ("\nnonsense", None),
    ],
)
def test_a_parameter_and_what_is_sent(said: str, expected: str | None) -> None:
    """A parameter tells a version as a type does; Content-Type counts where Accept names none."""
    assert asked(PARAMETER, KNOWN)(said) == expected


@pytest.mark.parametrize("text", ["", "{version}", "a/b", "a/{version}{version}", "a/b;{version}", "a/b;q={version}"])
def test_no_forms(text: str) -> None:
    """What does not say where the version stands is refused."""
    with pytest.raises(ValueError, match="expected"):
        form(text)


@settings(max_examples=200)
@given(st.text('a/;,="\\ q01.*+vndshopjaciti', max_size=400))
def test_anything(said: str) -> None:
    """Whatever a client sends is read, asks for what there is or for nothing, and the same whether it is remembered or
    too long for that."""
    find = asked(VENDOR, KNOWN)
    found = find(f"{said}\n")
    assert found in (None, UNKNOWN, *KNOWN)
    assert find(f"{said}\n{' ' * 300}") == found
    assert all(kind.count("/") == 1 for kind, _ in ranges(said))


def test_much() -> None:
    """Of a field that goes on and on only the beginning is looked at."""
    find = asked(VENDOR, KNOWN)
    assert find("a/b," * 20_000 + "application/vnd.shop.v1+json\n") is None
    assert find("application/vnd.shop.v1+json," + "a/b," * 20_000 + "\n") == "v1"


def test_routes() -> None:
    """The table and what explains it agree on conditions of versions, which come before routes without."""
    known = ("v1", "1", "v2")
    for kind, what in [("media_type", VENDOR), ("header", "x-v"), ("query", "v")]:
        rules = [
            (Match(api=ApiMatch(kind, what, known, ("v1", "1"))), "one"),
            (Match(api=ApiMatch(kind, what, known)), "unknown"),
            (Match(), "none"),
            (Match(api=ApiMatch("path", "/v[0-9]+/x")), "path"),
        ]
        table = RouteTable(rules)
        for version, path, expected in [
            ("v1", "/", "one"),
            ("1", "/", "one"),
            ("v2", "/", "none"),
            ("v7", "/", "unknown"),
            ("v11", "/", "unknown"),
            (None, "/v1/x", "path"),
            (None, "/", "none"),
        ]:
            told = {} if version is None else {"accept": f"application/vnd.shop.{version}+json", "x-v": version}
            request = Request(path=path, headers=told, parameters={} if version is None else {"v": version})
            found = table.explain(request)
            assert (table.find(request), rules[found.winner or 0][1]) == (expected, expected), (kind, version)
            assert len(found.losers) == 3
