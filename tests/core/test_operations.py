"""Which operation a request is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.operations import Operations, shape
from meshctl.core.paths import normalise

PATHS = (
    "/pets",
    "/pets/mine",
    "/pets/{id}",
    "/pets/{id}/tags",
    "/pets/{id}.json",
    "/pets/{id}/tags/{tag}",
    "/{kind}/mine",
    "/maps/{x},{y}",
    "/café/{né}",
    "/a b",
)
KNOWN = Operations([("GET", path, path) for path in PATHS] + [("POST", "/pets", "create")], "/v1")


def found(path: str, operations: Operations[str] = KNOWN) -> tuple[str | None, tuple[str, ...]] | None:
    """The document's path that takes this one, and the values of its names."""
    hit = operations.find(normalise(path))
    return None if hit is None else (hit[0].find("GET"), hit[1])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/pets", ("/pets", ())),
        ("/v1/pets/mine", ("/pets/mine", ())),
        ("/v1/pets/7", ("/pets/{id}", ("7",))),
        ("/v1/pets/7.json", ("/pets/{id}.json", ("7",))),
        ("/v1/pets/mine/tags", ("/pets/{id}/tags", ("mine",))),
        ("/v1/pets/a%2Fb/tags/%C3%A9", ("/pets/{id}/tags/{tag}", ("a/b", "é"))),
        ("/v1/dogs/mine", ("/{kind}/mine", ("dogs",))),
        ("/v1/maps/1,-2", ("/maps/{x},{y}", ("1", "-2"))),
        ("/v1/caf%c3%a9/x", ("/café/{né}", ("x",))),
        ("/v1/a%20b", ("/a b", ())),
        ("/v1/pets/", None),
        ("/v1/pets/7/", None),
        ("/v1/pets//tags", None),
        ("/v1/Pets", None),
        ("/v1", None),
        ("/v1pets", None),
        ("/pets", None),
        ("/v1/maps/" + "1" * 200 + "," + "2" * 200, None),
    ],
)
def test_paths(path: str, expected: tuple[str, tuple[str, ...]] | None) -> None:
    """What is written out comes before names, a name is no empty segment, and nothing else has the path."""
    assert found(path) == expected


def test_methods() -> None:
    """Who may GET may ask for the head alone; of others the path says which there are."""
    item = KNOWN.find("/v1/pets")
    assert item is not None
    asked = {method: item[0].find(method) for method in ("GET", "HEAD", "POST", "PUT")}
    assert asked == {"GET": "/pets", "HEAD": "/pets", "POST": "create", "PUT": None}
    assert item[0].allowed == "GET, HEAD, POST"


def test_the_root() -> None:
    """A document may have the root itself, and stand at it."""
    operations = Operations([("GET", "/", "/"), ("GET", "/{a}", "/{a}")], "")
    assert [found(path, operations) for path in ("/", "/x")] == [("/", ()), ("/{a}", ("x",))]


@pytest.mark.parametrize("path", ["/a/{}", "/{a}/{a}"])
def test_no_paths(path: str) -> None:
    """Names are there, and once."""
    with pytest.raises(ValueError, match="name"):
        shape(path)


segments = st.lists(st.sampled_from(["a", "b", "{x}", "{y}", "a{z}"]), min_size=1, max_size=4, unique=True)
values = st.text("ab1 /é%", min_size=1, max_size=4)


@given(st.lists(segments, min_size=1, max_size=8), st.data())
def test_every_path_is_found(paths: list[list[str]], data: st.DataObject) -> None:
    """Whatever stands for its names, a path of the document is found, by itself or by one that is as good."""
    from urllib.parse import quote

    documented = ["/" + "/".join(each) for each in paths]
    operations = Operations([("GET", path, path) for path in documented], "")
    chosen = data.draw(st.sampled_from(paths))
    filled = [each[: each.find("{")] + data.draw(values) if "{" in each else each for each in chosen]
    path = normalise("/" + "/".join(quote(each, safe="") for each in filled))
    hit = operations.find(path)
    assert hit is not None
    winner = hit[0].find("GET")
    assert winner is not None
    names, rest = list(hit[1]), winner.split("/")[1:]
    made = [each[: each.find("{")] + names.pop(0) if "{" in each else each for each in rest]
    assert made == filled
