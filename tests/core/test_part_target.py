"""What a part asks for, with values from anywhere put in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.part_target import LONGEST_VALUE, Lacking, Target, Values, look
from meshctl.core.paths import normalise

# No test depends on how fast a busy machine makes examples.
TARGET = "/a/{part.user.id}/b?u={part.user.id}&q={query.q}&z=1"


def values(**known: str) -> Values:
    """These values by what is behind the last dot, and none for others."""
    return lambda variable: known.get((variable.name or variable.kind).rpartition(".")[2])


@pytest.mark.parametrize(
    ("target", "known", "expected"),
    [
        ("/a", {}, ("/a", None)),
        ("/a?b=c&d", {}, ("/a", "b=c&d")),
        ("/u/{path.id}", {"id": "a%2Fb"}, ("/u/a%2Fb", None)),
        ("/u?id={path.id}", {"id": "a%2Fb"}, ("/u", "id=a%2Fb")),
        ("/v2{path}", {"path": "/x/y"}, ("/v2/x/y", None)),
        ("/u/{part.a.id}", {"id": "a/../b?c#d&e=f%g h"}, ("/u/a%2F..%2Fb%3Fc%23d%26e%3Df%25g%20h", None)),
        ("/u/{part.a.id}", {"id": "é\\"}, ("/u/%C3%A9%5C", None)),
        ("/u?a={query.a}&b={query.b}", {"b": ""}, ("/u", "b=")),
        ("/u?a={query.a}", {}, ("/u", None)),
        ("/u?a=x-{query.a}-{client_ip}&c", {"a": "&c=1", "client_ip": "::1"}, ("/u", "a=x-%26c%3D1-%3A%3A1&c")),
        ("/{{x}}/{path.id}", {"id": "1"}, ("/{x}/1", None)),
    ],
)
def test_filled(target: str, known: dict[str, str], expected: tuple[str, str | None]) -> None:
    """Values stand where they are meant to, encoded; a parameter that needs one the client did not send is left out."""
    assert Target(target).fill(values(**known)) == expected


@pytest.mark.parametrize(
    ("target", "known"),
    [
        ("/u/{part.a.id}", {}),
        ("/u/{part.a.id}", {"id": ""}),
        ("/u/{query.id}", {}),
        ("/u/{part.a.id}", {"id": ".."}),
        ("/u/.{part.a.id}/x", {"id": "."}),
        ("/u/{path.id}/x", {"id": "..;"}),
        ("/u/{path.id}", {"id": ".;a"}),
        ("/u/{part.a.id}{part.b.no}", {"id": ".", "no": "."}),
        ("/u/{part.a.id}", {"id": "a\x00b"}),
        ("/u/{part.a.id}", {"id": "a\r\nb"}),
        ("/u/{part.a.id}", {"id": "\ud800"}),
        ("/u/{part.a.id}", {"id": "x" * (LONGEST_VALUE + 1)}),
        ("/u?a={part.a.id}", {}),
        ("/u?a={claim.sub}", {"sub": ""}),
        ("/u?a={query.a}", {"a": "x" * (LONGEST_VALUE + 1)}),
    ],
)
def test_what_is_lacking(target: str, known: dict[str, str]) -> None:
    """Without a value that can stand where it should nothing is asked for: it would be something else."""
    with pytest.raises(Lacking, match="needs"):
        Target(target).fill(values(**known))


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_no_value_breaks_out(value: str, query: str) -> None:
    """Whatever a value holds, the path keeps its segments and is normal, the query keeps its parameters, and what was
    put in is what a reader gets."""
    target = Target(TARGET)
    try:
        path, found = target.fill(lambda variable: query if variable.kind == "query" else value)
    except Lacking:
        return
    assert found is not None
    assert (path + found).isascii()
    assert (path + found).isprintable()
    segments = path.split("/")
    assert [segments[1], segments[3], len(segments)] == ["a", "b", 4]
    assert unquote(segments[2]) == value
    assert normalise(path) == path
    assert parse_qsl(found, keep_blank_values=True) == [("u", value), ("q", query), ("z", "1")]


def test_whom_it_needs() -> None:
    """The parts whose values stand in the path or the query are needed."""
    assert Target("/{part.a.x}?y={part.b.y.z}&{path.c}").parts == {"a", "b"}


@pytest.mark.parametrize(
    ("document", "place", "expected"),
    [
        ({"id": 7}, "id", "7"),
        ({"a": {"b": [{"c": "x"}]}}, "a.b.0.c", "x"),
        ({"a": [1]}, "a.1", None),
        ({"a": True}, "a", "true"),
        ({"a": 1.5}, "a", "1.5"),
        ({"a": None}, "a", None),
        ({"a": {}}, "a", None),
        ({"a": 1}, "a.b", None),
        ({"0": "x"}, "0", "x"),
        ([1], "-1", None),
        ([1], "²", None),
        (None, "a", None),
    ],
)
def test_places(document: Any, place: str, expected: str | None) -> None:
    """A place in a document has a text, or there is none."""
    assert look(document, place.split(".")) == expected


def test_in_words() -> None:
    """What is not known yet is shown as it is written."""
    shown = Target(TARGET).described(lambda variable: "x y" if variable.kind == "query" else None)
    assert shown == "/a/{part.user.id}/b?u={part.user.id}&q=x%20y&z=1"
