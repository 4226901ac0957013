"""Bodies: which media types may be, and what of JSON is not taken whatever the schema says."""

from __future__ import annotations

import json

import pytest

from meshctl.core.checking import Body, Unacceptable, body_faults, fits, media_type
from meshctl.core.instances import SHALLOW, Schema
from meshctl.model.checked import Content

ANY = Schema("{}")


@pytest.mark.parametrize(
    ("media", "known", "expected"),
    [
        ("application/json", "application/json", True),
        ("application/json", "application/*", True),
        ("application/json", "*/*", True),
        ("application/vnd.a+json", "application/*+json", True),
        ("application/+json", "application/*+json", False),
        ("application/json", "application/*+json", False),
        ("text/json", "application/*", False),
        ("", "*/*", False),
        ("applicationjson", "application/*", False),
    ],
)
def test_media_ranges(media: str, known: str, expected: bool) -> None:
    """A star stands for any word, and no media type is none of them."""
    assert fits(media, known) is expected


def test_the_nearest_media_type() -> None:
    """A body is judged by what names its media type most exactly; what is not JSON is not judged."""
    body = Body(
        (Content("*/*"), Content("application/*", '{"type":"null"}'), Content("application/json", '{"type":"array"}'))
    )
    exact, rough = body.schema("application/json"), body.schema("application/problem+json")
    assert exact is not None
    assert rough is not None
    assert (exact.takes([]), rough.takes([]), rough.takes(None)) == (True, False, True)
    assert body.schema("application/zip") is None
    assert body.schema("text/plain") is None
    with pytest.raises(Unacceptable) as caught:
        Body((Content("text/csv"),)).schema(media_type("Text/Plain; charset=utf-8" + "x" * 900))
    assert (str(caught.value), caught.value.accepted) == ("the body is text/plain", "text/csv")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not JSON at line 1, column 1"),
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"NaN", "has NaN, which is no number of JSON"),
        (b"1e999", "has 1e999, which is too large a number"),
        (b"9" * 5000, "has a number with too many digits"),
        (b'{"a":1,"\\u0061":2}', "has an object with a name twice"),
        (b"[" * 100_000, "is nested more than 64 deep"),
        (b'["\\uD800"]', "has half of a surrogate pair, which is no character"),
        (b'{"\\udfff":1}', "has half of a surrogate pair, which is no character"),
    ],
)
def test_what_not_everybody_reads_alike(body: bytes, said: str) -> None:
    """What two readers could take for two things is refused, even where anything goes."""
    assert [each.detail for each in body_faults(ANY, body)] == [said]


@pytest.mark.parametrize("body", [b"null", b'"\\uD83D\\uDE00"', b"[" * 64 + b"]" * 64, b"9" * 4000])
def test_what_everybody_reads_alike(body: bytes) -> None:
    """Anything else goes where anything goes."""
    assert body_faults(ANY, body) == []


def test_ways_that_multiply() -> None:
    """A schema that leads back to itself in several ways is asked about few levels, and does not say where it ends."""
    node = {"anyOf": [{"items": {"$ref": "#/$defs/n"}, "type": "array"}] * 2 + [{"type": "null"}]}
    schema = Schema(json.dumps({"$ref": "#/$defs/n", "$defs": {"n": node}}))

    def nested(levels: int, inner: str) -> bytes:
        return ("[" * levels + inner + "]" * levels).encode()

    assert body_faults(schema, nested(SHALLOW, "null")) == []
    assert [each.detail for each in body_faults(schema, nested(SHALLOW, "1"))] == ["does not meet the schema"]
    assert [each.detail for each in body_faults(schema, nested(60, "1"))] == ["is nested more than 12 deep"]
