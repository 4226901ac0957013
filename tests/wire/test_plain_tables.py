"""The short way of reading meets the tables of messages, one after the other on one connection."""

from __future__ import annotations

import pytest

from meshctl.wire.fields import pairs
from meshctl.wire.plain import PlainRequests, PlainResponses

from .messages import REFUSED_REQUESTS, REFUSED_RESPONSES, REQUESTS, RESPONSES
from .recorder import Read, Requests, Responses, read

ANY_REQUEST = [*REQUESTS.values(), *(raw for raw, _ in REFUSED_REQUESTS.values())]
ANY_RESPONSE = [*RESPONSES.values(), *REFUSED_RESPONSES.values()]


@pytest.mark.parametrize("first", ANY_REQUEST, ids=[*REQUESTS, *REFUSED_REQUESTS])
def test_requests(first: bytes) -> None:
    """What the short way accepts, after any other message, is what the full reader reads alone."""
    plain = PlainRequests()
    for raw in [first, *ANY_REQUEST, first]:
        found = plain.read(raw, 100)
        if found is not None:
            whole = read(Requests, [raw])
            assert (whole.reason, whole.rest) == ("", None)
            assert [Read(found, is_complete=True).facts()] == whole.seen


@pytest.mark.parametrize("first", ANY_RESPONSE, ids=[*RESPONSES, *REFUSED_RESPONSES])
def test_responses(first: bytes) -> None:
    """The same for responses."""
    plain = PlainResponses()
    for raw in [first, *ANY_RESPONSE, first]:
        found = plain.read(raw, 200)
        if found is not None:
            whole = read(Responses, [raw])
            assert (whole.reason, whole.rest) == ("", None)
            assert [Read(found[0], body=found[1], is_complete=True).facts()] == whole.seen


def test_tables_take_the_short_way() -> None:
    """Some of the messages do take it, so that the above says something."""
    taken = [name for name, raw in REQUESTS.items() if PlainRequests().read(raw, 100)]
    assert {"plain", "query", "no space", "identifiers"} <= set(taken)
    assert {"length", "error"} <= {name for name, raw in RESPONSES.items() if PlainResponses().read(raw, 200)}


def test_remembered_fields_are_not_shared() -> None:
    """Requests with the same head are two, and the second is not changed by what was done to the first."""
    plain = PlainRequests()
    first, second = plain.read(REQUESTS["query"], 100), plain.read(REQUESTS["query"], 100)
    assert first is not None
    assert second is not None
    assert first is not second
    assert list(pairs(first.fields)) == list(pairs(second.fields)) == [(b"Accept", b"*/*")]
