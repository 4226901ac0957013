"""Texts with variables, and paths with names for their segments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.path_template import names, pattern, written_out
from meshctl.core.route_table import RouteTable
from meshctl.core.template import Variable, literal, parse, variables
from meshctl.model.route import Match, PathMatch

from .request import Request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("{client_ip}", (Variable("client_ip"),)),
        ("u-{claim.sub}/{path.id}.", ("u-", Variable("claim", "sub"), "/", Variable("path", "id"), ".")),
        ("{path}", (Variable("path"),)),
        ("{header.x-user}", (Variable("header", "x-user"),)),
        ("{claim.realm.roles}", (Variable("claim", "realm.roles"),)),
        ("{{a}}", ("{a}",)),
        ("{{{host}}}", ("{", Variable("host"), "}")),
    ],
)
def test_parse(text: str, expected: tuple[object, ...]) -> None:
    """A text is what stands between its variables, and a doubled brace is one."""
    assert parse(text) == expected
    assert variables(text) == tuple(each for each in expected if isinstance(each, Variable))


@pytest.mark.parametrize(
    "text", ["{", "}", "a{b", "{}", "{nobody}", "{claim}", "{claim.}", "{client_ip.x}", "{ host }"]
)
def test_not_a_text(text: str) -> None:
    """A variable that there is not, or half of one, is said to be wrong instead of being sent."""
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_suggestion() -> None:
    """A near name is suggested."""
    with pytest.raises(ValueError, match=r'did you mean "\{client_ip\}"'):
        parse("{clientip}")


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    """Whatever a value is to be can be said, by doubling its braces."""
    assert literal(text.replace("{", "{{").replace("}", "}}")) == text


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/users/{id}", "/users/7", {"id": "7"}),
        ("/users/{id}", "/users/7%2F8", {"id": "7%2F8"}),
        ("/users/{id}", "/users/", None),
        ("/users/{id}", "/users/7/x", None),
        ("/users/{id}", "/USERS/7", None),
        ("/a.b/{x}", "/aab/1", None),
        ("/{a}/x/{b}", "/1/x/2", {"a": "1", "b": "2"}),
        ("/files/{rest*}", "/files/a/b.txt", {"rest": "a/b.txt"}),
        ("/files/{rest*}", "/files/", None),
    ],
)
def test_path_templates(template: str, path: str, expected: dict[str, str] | None) -> None:
    """A name stands for one whole segment that is not empty, with a star for all that follow."""
    found = re.fullmatch(pattern(template), path)
    assert (found.groupdict() if found else None) == expected


@pytest.mark.parametrize("template", ["/users", "/a{id}", "/{id}x", "/{id}/{id}", "/{rest*}/x", "/{Id}", "/{}", "/{a"])
def test_not_a_path_template(template: str) -> None:
    """What could be understood in two ways is refused."""
    with pytest.raises(ValueError, match="expected"):
        names(template)


PATHS = [("exact", "/users/me"), ("template", "/users/{id}"), ("template", "/{kind}/{id}"), ("regex", "/users/.*"),
         ("prefix", "/users/7")]  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), [("/users/me", 0), ("/users/7", 1), ("/carts/7", 2), ("/users/7/x", 3)])
def test_precedence(path: str, expected: int) -> None:
    """An exact path beats a template, of which the one with more written out wins, and that a regex or a prefix."""
    rules = [(Match(path=PathMatch(kind, value)), number) for number, (kind, value) in enumerate(PATHS)]  # type: ignore[arg-type]
    for table in (RouteTable(rules), RouteTable(rules[::-1])):
        assert table.find(Request(path=path)) == expected
    told = RouteTable(rules).explain(Request(path=path))
    assert told.winner == expected
    assert written_out("/users/{id}") == 7
