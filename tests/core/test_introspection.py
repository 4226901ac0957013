"""What is made of a server's word about a token."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.introspection import LEEWAY, BadAnswer, basic, flaw, form, judge
from meshctl.core.principal import Principal, Refused
from meshctl.core.tokens import LONGEST
from meshctl.model.auth import Introspection

CONFIG = Introspection("https://id/x", "gateway", "/secret", cache=60.0)
NOW = 1_000_000.0


def judged(config: Introspection = CONFIG, **claims: Any) -> Principal | Refused:
    """What follows from these claims of an active token."""
    return judge(json.dumps({"active": True} | claims).encode(), config, "way", NOW)


@pytest.mark.parametrize(
    ("claims", "until"),
    [
        ({}, NOW + 60),
        ({"exp": NOW + 10}, NOW + 10),
        ({"exp": NOW + 600}, NOW + 60),
        ({"exp": NOW - LEEWAY + 1}, NOW - LEEWAY + 1),
        ({"nbf": NOW + LEEWAY}, NOW + 60),
    ],
)
def test_how_long_it_holds(claims: dict[str, Any], until: float) -> None:
    """An answer holds for as long as the configuration says, and never beyond the token's end."""
    found = judged(**claims)
    assert isinstance(found, Principal)
    assert found.until == until


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"active": False}, "token_invalid"),
        ({"active": False, "exp": "soon"}, "token_invalid"),
        ({"exp": NOW - LEEWAY}, "token_expired"),
        ({"exp": 0}, "token_expired"),
        ({"nbf": NOW + LEEWAY + 1}, "token_invalid"),
    ],
)
def test_what_does_not_hold(claims: dict[str, Any], reason: str) -> None:
    """A token that is not active here and now is refused."""
    found = judged(**claims)
    assert isinstance(found, Refused)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("claims", "subject"),
    [
        ({"sub": "ada", "username": "a", "client_id": "c"}, "ada"),
        ({"username": "a", "client_id": "c"}, "a"),
        ({"client_id": "c"}, "c"),
        ({}, ""),
    ],
)
def test_whom_it_is_about(claims: dict[str, Any], subject: str) -> None:
    """A token's subject is the one that it names, or else its user, or its client."""
    found = judged(**claims)
    assert isinstance(found, Principal)
    assert found.subject == subject


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"active": 1}',
        b'{"active": "true"}',
        b'{"active": true} x',
        b'{"active": true, "exp": -1}',
        b'{"active": true, "exp": 1e400}',
        b'{"active": true, "exp": true}',
        b'{"active": true, "nbf": [1]}',
        b'{"active": true, "username": 1}',
        b'{"active": false, "active": true}',
        b"[" * 50_000,
    ],
)
def test_what_is_no_answer(document: bytes) -> None:
    """What the server cannot have meant blames no token, and nothing of it is repeated."""
    with pytest.raises(BadAnswer) as found:
        judge(document, CONFIG, "way", NOW)
    assert "[[" not in str(found.value)


@given(st.binary(max_size=64))
def test_any_answer(document: bytes) -> None:
    """Whatever comes is a verdict or no answer, and only what says active = true lets anybody in."""
    try:
        found = judge(document, CONFIG, "way", NOW)
    except BadAnswer:
        return
    assert isinstance(found, Principal) == json.loads(document)["active"]


@given(st.text(), st.text())
def test_credentials(client: str, secret: str) -> None:
    """The server reads the same name and secret out of it, whatever they are made of."""
    name, _, rest = b64decode(basic(client, secret).removeprefix(b"Basic ")).decode("ascii").partition(":")
    assert (unquote_plus(name), unquote_plus(rest)) == (client, secret)


@given(st.from_regex(rb"[A-Za-z0-9._~+/-]{1,40}={0,2}", fullmatch=True))
def test_what_is_asked(token: bytes) -> None:
    """Every token that RFC 6750 allows is asked about as it is."""
    assert flaw(token) == ""
    assert parse_qs(form(token, CONFIG).decode())["token"] == [token.decode()]


@pytest.mark.parametrize("token", [b"", b"a b", b"=a", b"a\nb", b"\xe4", b"a" * (LONGEST + 1)])
def test_what_is_no_token(token: bytes) -> None:
    """Nobody is asked about what cannot be a token, and it is not repeated."""
    assert flaw(token)
    assert token.decode("latin-1") not in flaw(token).split() or not token
