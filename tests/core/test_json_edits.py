"""Documents of JSON with edits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.json_edits import DEEPEST, Edits
from meshctl.model.passing import JsonEdits

DOCUMENT: Any = {"id": 1, "user": {"name": "é", "password": "x"}, "items": [{"id": 2, "n": 1}, {"id": 3}], "z": None}


def edited(document: Any, **edits: Any) -> Any:
    """What becomes of it."""
    return json.loads(Edits(JsonEdits(**edits)).edited(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({}, DOCUMENT),
        ({"keep": ("$.id", "$.items[*].id")}, {"id": 1, "items": [{"id": 2}, {"id": 3}]}),
        ({"keep": ("$..name",)}, {"user": {"name": "é"}}),
        ({"keep": ("$.user", "$.user.name", "$.none")}, {"user": DOCUMENT["user"]}),
        ({"keep": ("$.none",)}, {}),
        ({"remove": ("$.user", "$.items[0]", "$.z", "$.none.x")}, {"id": 1, "items": [{"id": 3}]}),
        ({"remove": ("$..id", "$.user")}, {"items": [{"n": 1}, {}], "z": None}),
        ({"remove": ("$.items[*]", "$.user", "$.id", "$.z")}, {"items": []}),
        ({"keep": ("$.items",), "rename": (("$.items[*].id", "key"),)},
         {"items": [{"key": 2, "n": 1}, {"key": 3}]}),
        ({"keep": ("$.id", "$.z"), "rename": (("$.id", "z"),)}, {"z": 1}),
        ({"keep": ("$.id",), "move": (("$.id", "$.a.b"), ("$.none", "$.c"))}, {"a": {"b": 1}}),
        ({"keep": ("$.id",), "set": (("$.id.x", "[1]"), ("$.s", '"v"'))}, {"id": {"x": [1]}, "s": "v"}),
        ({"keep": ("$.user",), "move": (("$.user.name", "$.user"),)}, {"user": "é"}),
    ],
)  # fmt: skip
def test_edits(edits: dict[str, Any], expected: Any) -> None:
    """Each edit changes what its path means, in the order of edits, and nothing else."""
    assert edited(DOCUMENT, **edits) == expected


def test_order_of_members() -> None:
    """Members stay in their order, and a renamed one in its place."""
    assert list(edited(DOCUMENT, rename=(("$.user", "who"),))) == ["id", "who", "items", "z"]


@pytest.mark.parametrize("document", [[], 1, "x", None, [1, {"a": 2}]])
def test_what_is_no_object(document: Any) -> None:
    """A document that has no members gets none."""
    assert edited(document, set=(("$.x", "1"),), remove=("$.y",)) == document


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON at line 1, column 1"),
        (b'{"a":1,}', "not JSON at line 1"),
        (b'{"a":1} x', "not JSON at line 1, column 9"),
        (b'{"a":1,"a":2}', "a name twice"),
        (b'{"x":{"a":1,"\\u0061":2}}', "a name twice"),
        (b'{"a":NaN}', "NaN, which is no number"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b"[" * 65 + b"]" * 65, f"nested more than {DEEPEST} deep"),
        (b"[" * 100_000 + b"]" * 100_000, f"nested more than {DEEPEST} deep"),
    ],
)
def test_refused(body: bytes, message: str) -> None:
    """What could be read in two ways, or takes too much to read, is refused with what is wrong."""
    with pytest.raises(ValueError, match=message):
        Edits(JsonEdits()).edited(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_without_edits(document: Any) -> None:
    """Without edits a document means what it meant; what is removed is nowhere; what is kept was there."""
    assert edited(document) == document
    assert '"a":' not in json.dumps(edited(document, remove=("$..a",)), separators=(",", ":"))
    assert edited(edited(document, keep=("$..b",)), keep=("$..b",)) == edited(document, keep=("$..b",))


@pytest.mark.parametrize("body", [b'{"a": 1e999}', b'{"a": -1e999}'])
def test_numbers_that_are_too_large(body: bytes) -> None:
    """A number that could not be written again is refused."""
    with pytest.raises(ValueError, match="too large a number"):
        Edits(JsonEdits()).edited(body)


def test_half_a_surrogate_pair() -> None:
    """Text that only JSON can hold goes on as it came."""
    assert Edits(JsonEdits()).edited(b'{"a":"\\ud800"}') == b'{"a":"\\ud800"}'
